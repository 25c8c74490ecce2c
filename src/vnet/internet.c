// Finds who has an address. Labs have few networks: a search of all is as good as a table.
#include "vnet/internet.h"

#include <stdlib.h>

#include "base/mem.h"
#include "vnet/ethernet.h"
#include "vnet/ipv4.h"
#include "vnet/uplink.h"

enum { HOSTS_MAX = 1024, AT_TO4 = ETHERNET_HEADER + 16, AT_TO6 = ETHERNET_HEADER + 24 };

int vnet_add_host(struct vnet *v, uint32_t address, const struct ip6 *address6, struct err *e)
{
    const struct host host = {address, address6 ? *address6 : (struct ip6){{0}}};
    if (!address && !address6)
        return err_set(e, ERR_USAGE, "a host has an address");
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
        if (net->is.prefix6 && memcmp(&net->is.router6, to, net->is.prefix6 / 8) == 0)
            return net;
    }
    return NULL;
}

bool internet_has_host4(const struct vnet *v, uint32_t address)
{
    for (unsigned i = 0; i < v->host_count; i++)
        if (address && v->hosts[i].address == address)
            return true;
    return false;
}

bool internet_has_host6(const struct vnet *v, const struct ip6 *address)
{
    const struct ip6 none = {{0}};
    for (unsigned i = 0; i < v->host_count; i++)
        if (ip6_equal(&v->hosts[i].address6, address) && !ip6_equal(address, &none))
            return true;
    return false;
}

void internet_input(struct vnet *v, struct network *from, struct frame *f)
{
    struct bytes packet = written(f, 0);
    const struct ip6 to6 = get_ip6(packet, AT_TO6);
    bool is6 = get16(packet, 12) == ETHERTYPE_IPV6;
    struct network *to =
        is6 ? internet_network6(v, &to6) : internet_network4(v, get32(packet, AT_TO4));
    if (to)
        uplink_receive(v, to, f);
    else
        from->counters.drops[VNET_DROP_NO_ROUTE]++;
}
