// Finds who has an address. Labs have few networks: a search of all is as good as a table.
#include "vnet/ip/internet.h"

#include <stdlib.h>

#include "base/mem.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/ipv6.h"
#include "vnet/ip/uplink.h"
#include "vnet/ip/way-out.h"
#include "vnet/switch/ethernet.h"

enum { HOSTS_MAX = 1024 };

static const struct ip6 no_address = {{0}};

bool internet_is_reserved(uint32_t address)
{
    return !((address ^ VNET_EGRESS_NETWORK) >> (32 - VNET_EGRESS_PREFIX));
}

int vnet_add_host(struct vnet *v, uint32_t address, const struct ip6 *address6, struct err *e)
{
    const struct host host = {.address = address, .address6 = address6 ? *address6 : no_address};
    if (!address && !address6)
        return err_set(e, ERR_USAGE, "a host has an address");
    if (internet_is_reserved(address))
        return err_set(e, ERR_USAGE, "192.0.0.0/29 is the way out's");
    if ((address && (internet_network4(v, address) || internet_has_host4(v, address))) ||
        (address6 && (internet_network6(v, address6) || internet_has_host6(v, address6))))
        return err_set(e, ERR_EXISTS, "the address belongs to a network or another host");
    if (v->host_count == HOSTS_MAX)
        return err_set(e, ERR_USAGE, "there are %u hosts already", v->host_count);
    v->hosts = xrealloc(v->hosts, (v->host_count + 1) * sizeof *v->hosts);
    v->hosts[v->host_count++] = host;
    return 0;
}

struct network *internet_network4(const struct vnet *v, uint32_t to)
{
    for (unsigned i = 0; i < v->network_count; i++) {
        struct network *net = &v->networks[i];
        if ((net->is.wan && to == net->is.wan) ||
            (net->is.nat == VNET_NAT_NONE && net->is.router && ipv4_is_host(net, to)))
            return net;
    }
    return NULL;
}

struct network *internet_network6(const struct vnet *v, const struct ip6 *to)
{
    for (unsigned i = 0; i < v->network_count; i++) {
        struct network *net = &v->networks[i];
        if (ipv6_is_on_link(net, to))
            return net;
    }
    return NULL;
}

static struct host *find_host4(const struct vnet *v, uint32_t address)
{
    for (unsigned i = 0; i < v->host_count; i++)
        if (address && v->hosts[i].address == address)
            return &v->hosts[i];
    return NULL;
}

static struct host *find_host6(const struct vnet *v, const struct ip6 *address)
{
    for (unsigned i = 0; i < v->host_count; i++)
        if (ip6_equal(&v->hosts[i].address6, address) && !ip6_equal(address, &no_address))
            return &v->hosts[i];
    return NULL;
}

bool internet_has_host4(const struct vnet *v, uint32_t address)
{
    return find_host4(v, address) != NULL;
}

bool internet_has_host6(const struct vnet *v, const struct ip6 *address)
{
    return find_host6(v, address) != NULL;
}

static void into_uplink(struct packet *p, struct frame *f)
{
    uplink_receive(p->v, p->network, f);
}

// Where two uplinks' MTUs differ the internet is the router at which they meet: what does not fit
// the receiver's is cut, or sent back in the name of the receiver's router.
static void input4(struct vnet *v, struct network *from, struct frame *f)
{
    struct bytes packet = written(f, ETHERNET_HEADER);
    uint32_t to = get32(packet, IPV4_TO);
    struct packet p = {
        .v = v, .network = internet_network4(v, to), .buffer = f, .ip = packet, .dropped = -1};
    if (p.network) {
        if (ipv4_fits(&p, f, p.network->is.wan_mtu))
            ipv4_transmit(&p, f, p.network->is.wan_mtu, into_uplink);
        return;
    }
    p.network = from;
    p.host = find_host4(v, to);
    if (way_out_takes(v, packet, p.host))
        way_out_send(v, f);
    else if (p.host)
        ipv4_input(&p, packet);
    else
        drop(&p, VNET_DROP_NO_ROUTE);
}

static void input6(struct vnet *v, struct network *from, struct frame *f)
{
    struct bytes packet = written(f, ETHERNET_HEADER);
    const struct ip6 to = get_ip6(packet, IPV6_TO);
    struct packet p = {.v = v,
                       .network = internet_network6(v, &to),
                       .buffer = f,
                       .ip = packet,
                       .from6 = get_ip6(packet, IPV6_FROM),
                       .to6 = to,
                       .dropped = -1};
    if (p.network) {
        if (ipv6_fits(&p, p.network->is.wan_mtu))
            into_uplink(&p, f);
        return;
    }
    p.network = from;
    p.host = find_host6(v, &to);
    if (p.host)
        ipv6_input(&p, packet);
    else
        drop(&p, VNET_DROP_NO_ROUTE);
}

void internet_input(struct vnet *v, struct network *from, struct frame *f)
{
    if (get16(written(f, 0), 12) == ETHERTYPE_IPV6)
        input6(v, from, f);
    else
        input4(v, from, f);
}
