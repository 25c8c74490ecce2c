// Defaults that depend on other values, and names that become indices.
#include "vnet/labfile/complete.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "vnet/labfile/labfile.h"
#include "vnet/labfile/tree.h"
#include "vnet/labfile/type.h"

struct labfile_position position_of_key(const struct tree *from, const char *key)
{
    const struct tree *value = tree_get(from, key);
    return value ? value->at : from->key ? from->key_at : from->at;
}

int complete_name(struct reader *r, const struct tree *from, void *element, unsigned ordinal)
{
    const struct labfile_name *name = element;
    if (name->address_count + name->text_count == 0 && !name->cname)
        return tree_err(r->e, r->file, from->at, "'%s' needs an address, a cname or a txt",
                        name->entry.name);
    if (name->cname && name->address_count + name->text_count > 0)
        return tree_err(r->e, r->file, position_of_key(from, "cname"),
                        "'%s' has a cname, beside which nothing else can be (RFC 1034, 3.6.2)",
                        name->entry.name);
    return 0;
}

// The N-th network without addresses is 192.168.(N-1).1/24 and fd52:cccc:cccc:N::1/64.
static void usual_lan(struct vnet_network *n, unsigned ordinal)
{
    n->router = 0xc0a80001 | (ordinal - 1) << 8;
    n->prefix = 24;
    n->router6 = (struct ip6){{0xfd, 0x52, 0xcc, 0xcc, 0xcc, 0xcc, 0, (uint8_t)ordinal, [15] = 1}};
    n->prefix6 = 64;
}

int complete_network(struct reader *r, const struct tree *from, void *element, unsigned ordinal)
{
    struct labfile_network *n = element;
    if (!n->is.prefix && !n->is.prefix6)
        usual_lan(&n->is, ordinal);
    if (!tree_get(from, "nat"))
        n->is.nat = n->is.wan && n->is.prefix ? VNET_NAT_EASY : VNET_NAT_NONE;
    if (!n->domain) {
        AUTO_FREE char *domain = xasprintf("%s.internal", n->entry.name);
        if (!domain_normalise(domain))
            return tree_err(r->e, r->file, n->entry.at,
                            "a network '%s' needs a 'domain': '%s' is not a domain name",
                            n->entry.name, domain);
        n->domain = TAKE_PTR(domain);
    }
    n->is.name = n->entry.name;
    n->is.domain = n->domain;
    return 0;
}

static int find_network(struct reader *r, const char *name, struct labfile_position at,
                        unsigned *index)
{
    const struct labfile *lab = r->lab;
    char known[256];
    size_t n = 0;
    for (unsigned i = 0; i < lab->network_count; i++) {
        const char *other = lab->networks[i].entry.name;
        if (strcmp(other, name) == 0) {
            *index = i;
            return 0;
        }
        if (n < sizeof known)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", other);
    }
    return tree_err(r->e, r->file, at, "unknown network '%s' (%s)", name, known);
}

int complete_node(struct reader *r, const struct tree *from, void *element, unsigned ordinal)
{
    struct labfile_node *n = element;
    if (!tree_get(from, "mac")) {
        if (ordinal > 255)
            return tree_err(r->e, r->file, n->entry.at,
                            "node '%s' needs a 'mac': only the first 255"
                            " have one by themselves",
                            n->entry.name);
        n->is.mac = (struct mac){{0x52, 0xcc, 0xcc, 0xcc, 0xcc, (uint8_t)ordinal}};
    }
    n->is.name = n->entry.name;
    return 0;
}

// Networks may stand behind what names them.
int complete_lab(struct reader *r, const struct tree *from, void *element, unsigned ordinal)
{
    struct labfile *lab = element;
    if (lab->network_count == 0)
        return tree_err(r->e, r->file, position_of_key(from, "networks"),
                        "a lab needs at least one network");
    if (!lab->default_name)
        lab->default_name = xstrdup(lab->networks[0].entry.name);
    if (find_network(r, lab->default_name, position_of_key(from, "default-network"),
                     &lab->default_network) < 0)
        return -1;
    for (unsigned i = 0; i < lab->node_count; i++) {
        struct labfile_node *n = &lab->nodes[i];
        if (!n->network)
            n->network = xstrdup(lab->default_name);
        if (find_network(r, n->network, position_of_key(n->entry.from, "network"), &n->is.network) <
            0)
            return -1;
    }
    return 0;
}
