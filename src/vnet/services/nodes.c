// Nodes as the lab's owner adds them, leases as it sees them and puts them back, and which of them
// has which name.
#include "vnet/services/nodes.h"

#include <assert.h>

#include "vnet/ip/neighbour.h"
#include "vnet/switch/ethernet.h"

static const struct ip6 no_ip6;

// Adds what configuration says of a host to a name: `address` 0 and `address6` all zero are
// nothing.
static int add_name(struct vnet *v, int scope, const struct name *name, bool has_pointer,
                    uint32_t address, const struct ip6 *address6, struct err *e)
{
    const uint8_t octets[] = {(uint8_t)(address >> 24), (uint8_t)(address >> 16),
                              (uint8_t)(address >> 8), (uint8_t)address};
    const struct bytes a = {octets, sizeof octets};
    const struct bytes aaaa = {address6->octet, sizeof address6->octet};
    if (address && names_add(&v->names, scope, name, RR_A, a, has_pointer, e) < 0)
        return -1;
    if (ip6_equal(address6, &no_ip6))
        return 0;
    return names_add(&v->names, scope, name, RR_AAAA, aaaa, has_pointer, e);
}

// At home alone and with the domain; elsewhere with the domain, but for an address behind a NAT.
static int add_names(struct vnet *v, unsigned network, const char *label, uint32_t address,
                     const struct ip6 *address6, struct err *e)
{
    const struct vnet_network *is = &v->networks[network].is;
    struct name alone;
    struct name full;
    if (name_parse(label, &alone, e) < 0 || name_parse_in(label, is->domain, &full, e) < 0 ||
        add_name(v, (int)network, &alone, !is->domain, address, address6, e) < 0)
        return -1;
    if (!is->domain)
        return 0;
    uint32_t outside = is->nat == VNET_NAT_NONE ? address : 0;
    return add_name(v, (int)network, &full, true, address, address6, e) < 0
               ? -1
               : add_name(v, VNET_EVERYWHERE, &full, true, outside, address6, e);
}

int nodes_add_router(struct vnet *v, unsigned network, struct err *e)
{
    const struct vnet_network *is = &v->networks[network].is;
    return add_names(v, network, "router", is->router, is->prefix6 ? &is->router6 : &no_ip6, e);
}

static bool is_seen_from(const struct network *net, const struct network *from)
{
    return net == from || net->is.nat == VNET_NAT_NONE;
}

const struct lease *nodes_by_name(const struct vnet *v, unsigned network, const struct name *name)
{
    const struct network *home = &v->networks[network];
    const struct name domain = name_parent(name);
    char label[VNET_LABEL_MAX + 1];
    if (!name_label(name, label))
        return NULL;
    const struct lease *own = leases_host(&home->leases, v->now, label);
    if (own && (domain.n == 1 || name_equal(&domain, &home->zone)))
        return own;
    for (unsigned i = 0; i < v->network_count && domain.n > 1; i++) {
        const struct network *net = &v->networks[i];
        if (net == home || !is_seen_from(net, home) || !name_equal(&domain, &net->zone))
            continue;
        const struct lease *one = leases_host(&net->leases, v->now, label);
        if (one)
            return one;
    }
    return NULL;
}

static bool name_at(const struct vnet *v, const struct network *net, uint32_t address,
                    struct name *out)
{
    const struct lease *one = leases_at(&net->leases, v->now, address);
    struct err e;
    return one && one->is.host[0] && name_parse_in(one->is.host, net->domain, out, &e) == 0;
}

bool nodes_by_address(const struct vnet *v, unsigned network, uint32_t address, struct name *out)
{
    const struct network *home = &v->networks[network];
    if (leases_is_guests(&home->leases, address))
        return name_at(v, home, address, out);
    for (unsigned i = 0; i < v->network_count; i++) {
        const struct network *net = &v->networks[i];
        if (is_seen_from(net, home) && leases_is_guests(&net->leases, address))
            return name_at(v, net, address, out);
    }
    return false;
}

static bool has_records(const struct vnet *v, unsigned network, const char *label)
{
    const char *domain = v->networks[network].domain;
    struct name alone;
    struct name full;
    struct err e;
    return name_parse(label, &alone, &e) < 0 || name_parse_in(label, domain, &full, &e) < 0 ||
           names_has_records(&v->names, (int)network, &alone) ||
           names_has_records(&v->names, (int)network, &full);
}

void nodes_check_host(const struct vnet *v, const struct network *net, struct client *client)
{
    const struct lease *other = leases_host(&net->leases, v->now, client->host);
    if ((other && !mac_equal(other->is.mac, client->mac)) ||
        (client->host[0] && has_records(v, (unsigned)(net - v->networks), client->host)))
        client->host[0] = 0;
}

uint32_t vnet_address(const struct vnet *v, unsigned network, struct mac mac)
{
    assert(network < v->network_count);
    const struct network *net = &v->networks[network];
    uint32_t address = net->is.router ? leases_of(&net->leases, v->now, mac) : 0;
    return address || !net->is.router ? address : neighbour_address(net, mac);
}

static int check_address(const struct network *net, const struct vnet_node *n, struct err *e)
{
    if (n->address && !leases_is_guests(&net->leases, n->address))
        return err_set(e, ERR_USAGE, "a node's address must be a host's of its network");
    if (!ip6_equal(&n->address6, &no_ip6) &&
        (!net->is.prefix6 || memcmp(&n->address6, &net->is.router6, net->is.prefix6 / 8) != 0))
        return err_set(e, ERR_USAGE, "a node's IPv6 address must lie in its network's prefix");
    return 0;
}

// Of all the lab's nodes: a MAC says which network a guest joins.
static int check_others(const struct vnet *v, const struct vnet_node *n, const char *label,
                        struct err *e)
{
    for (unsigned i = 0; i < v->network_count; i++) {
        const struct lease *named = leases_host(&v->networks[i].leases, v->now, label);
        if (leases_is_reserved(&v->networks[i].leases, n->mac) ||
            mac_equal(n->mac, v->networks[i].router_mac))
            return err_set(e, ERR_EXISTS, "the MAC is another node's or a router's");
        if (named && named->node)
            return err_set(e, ERR_EXISTS, "there is a node \"%s\" already", label);
    }
    if (has_records(v, n->network, label))
        return err_set(e, ERR_EXISTS, "the name \"%s\" has records or is the router's", label);
    const struct bytes address6 = {n->address6.octet, sizeof n->address6.octet};
    if (names_pointer(&v->names, (int)n->network, NULL, RR_AAAA, address6))
        return err_set(e, ERR_EXISTS, "the IPv6 address has a name already");
    return 0;
}

int vnet_add_node(struct vnet *v, const struct vnet_node *n, struct err *e)
{
    struct name name;
    char label[VNET_LABEL_MAX + 1];
    if (n->network >= v->network_count)
        return err_set(e, ERR_USAGE, "there is no network %u", n->network);
    if (name_parse_in(n->name, v->networks[n->network].domain, &name, e) < 0 ||
        name_parse(n->name, &name, e) < 0)
        return -1;
    if (!name_label(&name, label) || name_parent(&name).n > 1)
        return err_set(e, ERR_USAGE, "a node's name has no dots");
    if (mac_is_group(n->mac) || mac_equal(n->mac, (struct mac){{0}}))
        return err_set(e, ERR_USAGE, "a node's MAC is unicast and not all zero");
    struct network *net = &v->networks[n->network];
    if (check_address(net, n, e) < 0 || check_others(v, n, label, e) < 0 ||
        leases_reserve(&net->leases, v->now, n->mac, n->address, label, e) < 0)
        return -1;
    return add_names(v, n->network, label, 0, &n->address6, e);
}

uint64_t vnet_lease_changes(const struct vnet *v)
{
    uint64_t changes = 0;
    for (unsigned i = 0; i < v->network_count; i++)
        changes += v->networks[i].leases.changes;
    return changes;
}

bool vnet_lease(const struct vnet *v, unsigned network, unsigned i, struct vnet_lease *out)
{
    assert(network < v->network_count);
    const struct leases *l = &v->networks[network].leases;
    if (i >= l->max || !leases_is_granted(&l->all[i]))
        return false;
    *out = l->all[i].is;
    return true;
}

int vnet_restore_lease(struct vnet *v, unsigned network, const struct vnet_lease *l, struct err *e)
{
    if (network >= v->network_count)
        return err_set(e, ERR_USAGE, "there is no network %u", network);
    struct network *net = &v->networks[network];
    struct client client = {.id = {l->id, l->id_length}, .mac = l->mac, .plug = LEASE_NO_PLUG};
    if (l->id_length == 0 || mac_is_group(l->mac))
        return err_set(e, ERR_USAGE, "a lease is of a client with an identifier and a MAC");
    if (!leases_is_guests(&net->leases, l->address))
        return err_set(e, ERR_USAGE, "the lease's address is not of network \"%s\"", net->name);
    uint32_t known = leases_known(&net->leases, v->now, &client);
    if (known && known != l->address)
        return err_set(e, ERR_EXISTS, "the lease's client has another address");
    label_read((struct bytes){(const uint8_t *)l->host, strnlen(l->host, sizeof l->host)},
               client.host);
    nodes_check_host(v, net, &client);
    if (!leases_grant(&net->leases, v->now, &client, l->address, l->until))
        return err_set(e, ERR_EXISTS, "the lease's address is another's or the table is full");
    return 0;
}
