// Takes both ends of a way in apart.
#include "vnet/labfile/inlet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/parse.h"
#include "vnet/ip/ipv4.h"
#include "vnet/labfile/forward.h"
#include "vnet/labfile/tree.h"

static int parse_listen(const char *text, struct inlet *out, struct err *e)
{
    struct labfile_port at;
    bool has_address = strchr(text, ':');
    AUTO_FREE char *full = has_address ? xstrdup(text) : xasprintf("127.0.0.1:%s", text);
    if (!port_parse(full, &at))
        return err_set(e, ERR_USAGE,
                       "'%.80s' is not a port of the host such as 8080, 127.0.0.1:8080 or 53/udp",
                       text);
    out->protocol = at.protocol;
    out->host = at.address;
    out->host_port = at.port;
    return 0;
}

static bool names_guest(const char *text)
{
    struct in_addr address;
    struct mac mac;
    struct err e;
    return id_valid(text) || inet_pton(AF_INET, text, &address) == 1 ||
           mac_parse(text, &mac, &e) == 0;
}

static int parse_to(const char *text, struct inlet *out, struct err *e)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    uint64_t port = 0;
    if (n > 0 && n < sizeof out->guest) {
        snprintf(out->guest, sizeof out->guest, "%.*s", (int)n, text);
        if (names_guest(out->guest) && number_parse(colon + 1, "port", 1, UINT16_MAX, &port, e) < 0)
            return -1;
    }
    out->port = (uint16_t)port;
    return port ? 0
                : err_set(e, ERR_USAGE,
                          "'%.80s' is not a guest and its port, such as vm1:80 or 192.168.0.101:80",
                          text);
}

int inlet_parse(const char *listen, const char *to, struct inlet *out, struct err *e)
{
    *out = (struct inlet){0};
    return parse_listen(listen, out, e) < 0 ? -1 : to ? parse_to(to, out, e) : 0;
}

void inlet_format(const struct inlet *inlet, char out[static INLET_TEXT])
{
    const struct in_addr a = {htonl(inlet->host)};
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &a, address, sizeof address);
    snprintf(out, INLET_TEXT, "%s:%u%s", address, inlet->host_port,
             inlet->protocol == PROTOCOL_UDP ? "/udp" : "");
}

bool inlet_is_at(const struct inlet *a, const struct inlet *b)
{
    return a->protocol == b->protocol && a->host == b->host && a->host_port == b->host_port;
}

int complete_inlet(struct reader *r, const struct tree *from, void *element, unsigned ordinal)
{
    struct labfile_inlet *n = element;
    struct err e;
    if (!n->to)
        return tree_err(r->e, r->file, n->entry.at, "from-host: '%.80s' needs a 'to'",
                        n->entry.name);
    if (inlet_parse(n->entry.name, n->to, &n->is, &e) < 0)
        return tree_err(r->e, r->file, n->entry.at, "from-host: %s", e.msg);
    return 0;
}
