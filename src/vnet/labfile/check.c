// Networks, nodes and hosts must not be in each other's way.
#include "vnet/labfile/check.h"

#include <string.h>

#include "vnet/labfile/complete.h"
#include "vnet/labfile/tree.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

enum { MTU_MIN_IPV6 = 1280 }; // RFC 8200, 5

#define RESERVED "192.0.0.0/29 is the way out's"

// An error at a key's value, in words that begin with the key.
#define REFUSE(entry, key, ...)                                                                    \
    tree_err(e, lab->file, position_of_key((entry)->from, key), key ": " __VA_ARGS__)

static bool in_lan4(const struct vnet_network *n, uint32_t address)
{
    return n->prefix && !((address ^ n->router) >> (32 - n->prefix));
}

static bool is_reserved(uint32_t address)
{
    return !((address ^ VNET_EGRESS_NETWORK) >> (32 - VNET_EGRESS_PREFIX));
}

static bool in_lan6(const struct vnet_network *n, const struct ip6 *address)
{
    return n->prefix6 && memcmp(address, &n->router6, n->prefix6 / 8) == 0;
}

// The first and the last address of a LAN are nobody's.
static bool is_host4(const struct vnet_network *n, uint32_t address)
{
    uint32_t bits = UINT32_MAX >> n->prefix;
    return (address & bits) != 0 && (address & bits) != bits;
}

bool check_is_ours(const struct labfile *lab, const struct labfile_address *a)
{
    for (unsigned i = 0; i < lab->network_count; i++) {
        const struct vnet_network *n = &lab->networks[i].is;
        if (a->is6 ? in_lan6(n, &a->v6) : in_lan4(n, a->v4) || n->wan == a->v4)
            return true;
    }
    return false;
}

static int check_network(const struct labfile *lab, const struct labfile_network *n, struct err *e)
{
    const struct vnet_network *is = &n->is;
    if (is->prefix && !is_host4(is, is->router))
        return REFUSE(&n->entry, "lan",
                      "the router needs an address of its own in it, "
                      "such as 192.168.1.1 in 192.168.1.1/24");
    if (in_lan4(is, VNET_EGRESS_NETWORK) || is_reserved(is->router))
        return REFUSE(&n->entry, "lan", RESERVED);
    if (is_reserved(is->wan))
        return REFUSE(&n->entry, "wan", RESERVED);
    if (is->nat != VNET_NAT_NONE && !(is->wan && is->prefix))
        return REFUSE(&n->entry, "nat", "it translates from 'lan' to 'wan' and needs both");
    if (is->prefix6 && is->mtu < MTU_MIN_IPV6)
        return REFUSE(&n->entry, "mtu", "IPv6 needs at least %d", MTU_MIN_IPV6);
    if (is->prefix6 && is->wan_mtu && is->wan_mtu < MTU_MIN_IPV6)
        return REFUSE(&n->entry, "wan-mtu", "IPv6 needs at least %d", MTU_MIN_IPV6);
    return 0;
}

// LANs behind NATs may be the same: no other network sees their addresses.
static bool overlap(const struct vnet_network *a, const struct vnet_network *b)
{
    const struct vnet_network *wider = a->prefix < b->prefix ? a : b;
    return a->nat == VNET_NAT_NONE && b->nat == VNET_NAT_NONE && a->prefix && b->prefix &&
           in_lan4(wider, wider == a ? b->router : a->router);
}

// A network, and one that stands before it.
static int check_networks(const struct labfile *lab, const struct labfile_network *n,
                          const struct labfile_network *other, struct err *e)
{
    const char *name = other->entry.name;
    if (n->is.wan && n->is.wan == other->is.wan)
        return REFUSE(&n->entry, "wan", "network '%s' has the same WAN address", name);
    if (overlap(&n->is, &other->is))
        return REFUSE(&n->entry, "lan", "it overlaps network '%s', and one of them needs a nat",
                      name);
    if (n->is.prefix6 && in_lan6(&other->is, &n->is.router6))
        return REFUSE(&n->entry, "lan6", "it overlaps network '%s'", name);
    return 0;
}

static int check_wan(const struct labfile *lab, const struct labfile_network *n, struct err *e)
{
    for (unsigned i = 0; n->is.wan && i < lab->network_count; i++)
        if (in_lan4(&lab->networks[i].is, n->is.wan))
            return REFUSE(&n->entry, "wan", "the address lies in the LAN of network '%s'",
                          lab->networks[i].entry.name);
    return 0;
}

static int check_all_networks(const struct labfile *lab, struct err *e)
{
    for (unsigned i = 0; i < lab->network_count; i++) {
        const struct labfile_network *n = &lab->networks[i];
        if (check_network(lab, n, e) < 0 || check_wan(lab, n, e) < 0)
            return -1;
        for (unsigned j = 0; j < i; j++)
            if (check_networks(lab, n, &lab->networks[j], e) < 0)
                return -1;
    }
    return 0;
}

static int check_node4(const struct labfile *lab, const struct labfile_node *n, struct err *e)
{
    const struct vnet_network *net = &lab->networks[n->is.network].is;
    if (!n->is.address)
        return 0;
    if (!in_lan4(net, n->is.address) || !is_host4(net, n->is.address))
        return REFUSE(&n->entry, "ip", "no address of a host in network '%s'", net->name);
    if (n->is.address == net->router)
        return REFUSE(&n->entry, "ip", "it is that of the router of network '%s'", net->name);
    return 0;
}

static bool has_address6(const struct labfile_node *n)
{
    static const struct ip6 none;
    return memcmp(&n->is.address6, &none, sizeof none) != 0;
}

static int check_node6(const struct labfile *lab, const struct labfile_node *n, struct err *e)
{
    const struct vnet_network *net = &lab->networks[n->is.network].is;
    if (!has_address6(n))
        return 0;
    if (!in_lan6(net, &n->is.address6))
        return REFUSE(&n->entry, "ip6", "no address in network '%s'", net->name);
    if (memcmp(&n->is.address6, &net->router6, sizeof net->router6) == 0)
        return REFUSE(&n->entry, "ip6", "it is that of the router of network '%s'", net->name);
    return 0;
}

static int check_mac(const struct labfile *lab, const struct labfile_node *n, struct err *e)
{
    static const uint8_t router[] = {0x52, 0xee, 0xee, 0xee, 0xee};
    if (memcmp(&n->is.mac, router, sizeof router) == 0)
        return REFUSE(&n->entry, "mac", "52:ee:ee:ee:ee:NN are the routers' addresses");
    return 0;
}

// A node, and one that stands before it.
static int check_nodes(const struct labfile *lab, const struct labfile_node *n,
                       const struct labfile_node *other, struct err *e)
{
    const char *name = other->entry.name;
    if (memcmp(&n->is.mac, &other->is.mac, sizeof n->is.mac) == 0)
        return REFUSE(&n->entry, "mac", "node '%s' has the same one", name);
    if (n->is.network != other->is.network)
        return 0;
    if (n->is.address && n->is.address == other->is.address)
        return REFUSE(&n->entry, "ip", "node '%s' has the same one", name);
    if (has_address6(n) && memcmp(&n->is.address6, &other->is.address6, sizeof(struct ip6)) == 0)
        return REFUSE(&n->entry, "ip6", "node '%s' has the same one", name);
    return 0;
}

static int check_all_nodes(const struct labfile *lab, struct err *e)
{
    for (unsigned i = 0; i < lab->node_count; i++) {
        const struct labfile_node *n = &lab->nodes[i];
        if (check_mac(lab, n, e) < 0 || check_node4(lab, n, e) < 0 || check_node6(lab, n, e) < 0)
            return -1;
        for (unsigned j = 0; j < i; j++)
            if (check_nodes(lab, n, &lab->nodes[j], e) < 0)
                return -1;
    }
    return 0;
}

static int check_hosts(const struct labfile *lab, struct err *e)
{
    for (unsigned i = 0; i < lab->host_count; i++)
        if (check_is_ours(lab, &lab->hosts[i]))
            return tree_err(e, lab->file, lab->hosts[i].at,
                            "hosts: the address is that of a network, not of the internet");
    return 0;
}

static int check_forwards(const struct labfile *lab, const struct labfile_forward *f,
                          const struct labfile_forward *other, unsigned *same, struct err *e)
{
    const char *name = other->entry.name;
    if (f->is.address == other->is.address && f->is.port == other->is.port &&
        f->is.protocol == other->is.protocol)
        return tree_err(e, lab->file, f->entry.at, "forward: it is the same as '%s'", name);
    *same += f->host && f->host == other->host && f->host_port == other->host_port &&
             f->is.protocol == other->is.protocol;
    if (*same == LABFILE_SAME_HOST_MAX)
        return tree_err(e, lab->file, f->entry.at, "forward: more than %d lead to '%s'",
                        LABFILE_SAME_HOST_MAX, f->to);
    return 0;
}

static int check_all_forwards(const struct labfile *lab, struct err *e)
{
    for (unsigned i = 0; i < lab->forward_count; i++) {
        const struct labfile_forward *f = &lab->forwards[i];
        const struct labfile_address a = {.v4 = f->is.address};
        unsigned same = 0;
        if (check_is_ours(lab, &a))
            return tree_err(e, lab->file, f->entry.at,
                            "forward: the address is that of a network, not of the internet");
        for (unsigned j = 0; j < i; j++)
            if (check_forwards(lab, f, &lab->forwards[j], &same, e) < 0)
                return -1;
    }
    return 0;
}

static int check_inlets(const struct labfile *lab, struct err *e)
{
    for (unsigned i = 0; i < lab->inlet_count; i++) {
        const struct labfile_inlet *n = &lab->inlets[i];
        if (lab->egress == LABFILE_EGRESS_NONE)
            return tree_err(e, lab->file, n->entry.at, "from-host: it needs 'egress: host'");
        for (unsigned j = 0; j < i; j++)
            if (inlet_is_at(&n->is, &lab->inlets[j].is))
                return tree_err(e, lab->file, n->entry.at, "from-host: it is the same as '%s'",
                                lab->inlets[j].entry.name);
    }
    return 0;
}

int check_lab(const struct labfile *lab, struct err *e)
{
    static int (*const checks[])(const struct labfile *lab, struct err *e) = {
        check_all_networks, check_all_nodes, check_hosts, check_all_forwards, check_inlets};
    for (size_t i = 0; i < COUNT(checks); i++)
        if (checks[i](lab, e) < 0)
            return -1;
    return 0;
}
