// A lab and its networks, as their owner makes them.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vnet/ip/internet.h"
#include "vnet/ip/neighbour.h"
#include "vnet/ip/reassembly.h"
#include "vnet/ip/uplink.h"
#include "vnet/ip/way-out.h"
#include "vnet/lab.h"
#include "vnet/nat/nat.h"
#include "vnet/services/nodes.h"

const struct vnet_limits vnet_default_limits = {
    .networks = 64,
    .plugs = 1024,
    .macs_per_plug = 64,
    .leases = 1024,
    .neighbours = 1024,
    .mappings = 4096,
    .small_frames = 16384,
    .frames = 16384,
    .jumbo_frames = 4096,
    .deliveries = 65536,
};

enum {
    MTU_MIN = 576,   // RFC 2132, 5.1 would take 68
    MTU6_MIN = 1280, // RFC 8200, 5
};

// A link each way of every plug and uplink, and what else a router does later.
enum { TIMERS_OF_PLUG = 2, TIMERS_OF_NETWORK = 8 };

struct vnet *vnet_new(const struct vnet_limits *limits, uint64_t seed,
                      const struct vnet_owner *owner)
{
    struct vnet *v = xcalloc(1, sizeof *v);
    v->limits = *limits;
    v->seed = seed;
    v->owner = *owner;
    v->networks = xcalloc(limits->networks, sizeof *v->networks);
    v->plugs = xcalloc(limits->plugs, sizeof *v->plugs);
    owners_init(&v->owners, limits->plugs, limits->macs_per_plug, seed);
    pool_init(&v->pool, limits);
    deliveries_init(&v->deliveries, limits->deliveries);
    names_init(&v->names);
    timers_init(&v->timers, limits->plugs * TIMERS_OF_PLUG +
                                (limits->networks + 1) * TIMERS_OF_NETWORK); // the way out's
    return v;
}

void vnet_free(struct vnet *v)
{
    if (!v)
        return;
    for (unsigned i = 0; i < v->network_count; i++) {
        leases_fini(&v->networks[i].leases);
        neighbours_free(v->networks[i].neighbours);
        nat_free(v->networks[i].nat);
        reassembly_free(v->networks[i].reassembly);
        free(v->networks[i].name);
        free(v->networks[i].domain);
    }
    for (unsigned i = 0; i < v->limits.plugs; i++)
        free(v->plugs[i].name);
    owners_fini(&v->owners);
    pool_fini(&v->pool);
    deliveries_fini(&v->deliveries);
    timers_fini(&v->timers);
    names_fini(&v->names);
    free(v->networks);
    free(v->plugs);
    free(v->hosts);
    way_out_free(v->way_out);
    free(v);
}

static int check_ipv4(const struct vnet_network *n, struct err *e)
{
    if (n->prefix < 8 || n->prefix > 30)
        return err_set(e, ERR_USAGE, "the prefix length must be 8 to 30, not %u", n->prefix);
    uint32_t hosts = UINT32_MAX >> n->prefix;
    uint32_t host = n->router & hosts;
    if (host == 0 || host == hosts)
        return err_set(e, ERR_USAGE, "the router's address must be a host's of its network");
    unsigned top = n->router >> 24;
    if (top == 0 || top == 127 || top >= 224)
        return err_set(e, ERR_USAGE, "a network cannot lie in %u.0.0.0/8", top);
    bool holds_it = !((n->router ^ VNET_EGRESS_NETWORK) >> (32 - n->prefix));
    if (holds_it || internet_is_reserved(n->router))
        return err_set(e, ERR_USAGE, "192.0.0.0/29 is the way out's");
    if (n->lease_seconds == 0)
        return err_set(e, ERR_USAGE, "a lease must last for at least a second");
    return 0;
}

// SLAAC makes addresses of 64 bits, and every router of ours is fe80::1.
static int check_ipv6(const struct vnet_network *n, struct err *e)
{
    const uint8_t *at = n->router6.octet;
    if (n->prefix6 != 64)
        return err_set(e, ERR_USAGE, "an IPv6 prefix length must be 64, not %u", n->prefix6);
    if (at[0] == 0 || at[0] == 0xff || (at[0] == 0xfe && at[1] >= 0x80))
        return err_set(e, ERR_USAGE, "the router's IPv6 address must be a global unicast one");
    if (n->ra_seconds && (n->ra_seconds < RA_SECONDS_MIN || n->ra_seconds > RA_SECONDS_MAX))
        return err_set(e, ERR_USAGE, "router advertisements must be %d to %d seconds apart",
                       RA_SECONDS_MIN, RA_SECONDS_MAX);
    return 0;
}

static int check_mtus(const struct vnet_network *n, struct err *e)
{
    int least = n->prefix6 ? MTU6_MIN : MTU_MIN;
    if (n->mtu < least || n->mtu > VNET_MTU_MAX)
        return err_set(e, ERR_USAGE, "the MTU must be %d to %d", least, VNET_MTU_MAX);
    if (n->wan_mtu && (n->wan_mtu < least || n->wan_mtu > VNET_MTU_MAX))
        return err_set(e, ERR_USAGE, "the uplink's MTU must be %d to %d", least, VNET_MTU_MAX);
    return 0;
}

static bool overlap(const struct vnet_network *a, const struct vnet_network *b)
{
    uint8_t shorter = a->prefix < b->prefix ? a->prefix : b->prefix;
    bool routed = a->nat == VNET_NAT_NONE && b->nat == VNET_NAT_NONE;
    return routed && a->router && b->router && !((a->router ^ b->router) >> (32 - shorter));
}

// Routers find each other's networks by their addresses.
static int check_others(const struct vnet *v, const struct vnet_network *n, struct err *e)
{
    for (unsigned i = 0; i < v->network_count; i++) {
        const struct vnet_network *other = &v->networks[i].is;
        if (strcmp(other->name, n->name) == 0)
            return err_set(e, ERR_EXISTS, "there is a network \"%s\" already", n->name);
        if (n->wan && n->wan == other->wan)
            return err_set(e, ERR_EXISTS, "network \"%s\" has the same WAN address", other->name);
        if (overlap(n, other) || (n->prefix6 && other->prefix6 &&
                                  memcmp(&n->router6, &other->router6, n->prefix6 / 8) == 0))
            return err_set(e, ERR_EXISTS, "its addresses are network \"%s\"'s", other->name);
    }
    return 0;
}

static int check_network(const struct vnet *v, const struct vnet_network *n, struct err *e)
{
    if (id_check(n->name, e) < 0 || check_mtus(n, e) < 0 || (n->router && check_ipv4(n, e) < 0) ||
        (n->prefix6 && check_ipv6(n, e) < 0))
        return -1;
    if (!n->router && !n->prefix6)
        return err_set(e, ERR_USAGE, "a network has addresses of IPv4 or of IPv6");
    if (internet_is_reserved(n->wan))
        return err_set(e, ERR_USAGE, "192.0.0.0/29 is the way out's");
    if (n->nat != VNET_NAT_NONE && (!n->wan || !n->router))
        return err_set(e, ERR_USAGE, "a NAT needs a WAN address and a LAN of IPv4");
    struct name router;
    if (n->domain && (name_parse(n->domain, &router, e) < 0 ||
                      name_parse_in("router", n->domain, &router, e) < 0))
        return err_wrap(e, "domain");
    if (v->network_count == v->limits.networks || v->network_count == VNET_NETWORKS_MAX)
        return err_set(e, ERR_USAGE, "there are %u networks already", v->network_count);
    return check_others(v, n, e);
}

int vnet_add_network(struct vnet *v, const struct vnet_network *n, struct err *e)
{
    if (check_network(v, n, e) < 0)
        return -1;
    unsigned number = v->network_count++;
    struct network *net = &v->networks[number];
    net->name = xstrdup(n->name);
    net->domain = xstrdup(n->domain);
    net->is = *n;
    net->is.name = net->name;
    net->is.domain = net->domain;
    net->zone = (struct name){.n = 1};
    if (!net->is.wan_mtu)
        net->is.wan_mtu = net->is.mtu;
    net->router_mac = (struct mac){{0x52, 0xee, 0xee, 0xee, 0xee, (uint8_t)(number + 1)}};
    net->random = random_stream(v->seed, number);
    leases_init(&net->leases, n->router, n->prefix, v->limits.leases);
    uplink_init(net);
    ra_init(net);
    net->neighbours = neighbours_new(v, net);
    net->nat = nat_new(v, net);
    net->reassembly = reassembly_new(net);
    TAILQ_INIT(&net->plugs);
    if ((n->domain && name_parse(n->domain, &net->zone, e) < 0) ||
        nodes_add_router(v, number, e) < 0)
        return -1;
    return (int)number;
}

const struct vnet_counters *vnet_network_counters(const struct vnet *v, unsigned network)
{
    assert(network < v->network_count);
    return &v->networks[network].counters;
}
