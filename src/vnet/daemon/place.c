// Clients are found in the lab file by their MACs.
#include "vnet/daemon/place.h"

#include <stdio.h>
#include <string.h>

#include "vnet/daemon/daemon.h"

bool place_mac(const uint8_t *frame, size_t n, struct mac *out)
{
    static const struct mac none;
    enum { SOURCE = 6 };
    if (n < SOURCE + sizeof *out)
        return false;
    memcpy(out, frame + SOURCE, sizeof *out);
    bool group = out->octet[0] & 1;
    return !group && memcmp(out, &none, sizeof none) != 0;
}

int place_network(const struct daemon *d, const char *name, struct err *e)
{
    const struct labfile *lab = d->lab;
    for (unsigned i = 0; i < lab->network_count; i++)
        if (strcmp(lab->networks[i].entry.name, name) == 0)
            return (int)i;
    return err_set(e, ERR_USAGE, "there is no network '%.64s'", name);
}

static void name_by_mac(const struct mac *mac, char out[static PLACE_NAME_MAX])
{
    char text[MAC_TEXT];
    mac_format(mac, text);
    for (char *c = text; *c; c++)
        *c = *c == ':' ? '-' : *c; // fit for an id
    snprintf(out, PLACE_NAME_MAX, "%s", text);
}

static int find_network(const struct daemon *d, const struct identity *who,
                        const struct labfile_node *node, struct err *e)
{
    const struct labfile *lab = d->lab;
    if (who->network)
        return place_network(d, who->network, e);
    if (node)
        return (int)node->is.network;
    if (lab->unknown_macs == LABFILE_JOIN)
        return (int)lab->default_network;
    return err_set(e, ERR_USAGE, "the lab has no node with this MAC");
}

int place_find(const struct daemon *d, const struct identity *who, struct place *out, struct err *e)
{
    const struct labfile_node *node = who->mac ? labfile_node(d->lab, *who->mac) : NULL;
    if (who->name && id_check(who->name, e) < 0)
        return -1;
    int network = find_network(d, who, node, e);
    if (network < 0)
        return -1;
    *out = (struct place){.network = (unsigned)network};
    if (node)
        memcpy(out->link, node->link, sizeof out->link);
    if (who->name)
        snprintf(out->own, sizeof out->own, "%s", who->name);
    // The lab's author wants to find the lab's names, whatever the client is called.
    if (node || who->name)
        snprintf(out->name, sizeof out->name, "%s", node ? node->entry.name : who->name);
    else if (who->mac)
        name_by_mac(who->mac, out->name);
    else
        snprintf(out->name, sizeof out->name, "client");
    return 0;
}
