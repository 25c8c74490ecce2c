// Brings packets that are not for the router itself to its LAN, or to its uplink.
#include "vnet/ip/icmpv6.h"
#include "vnet/ip/internet.h"
#include "vnet/ip/ipv6.h"
#include "vnet/ip/neighbour.h"
#include "vnet/ip/uplink.h"
#include "vnet/switch/ethernet.h"

static void refuse(struct packet *p, enum vnet_drop why, unsigned type_code, uint32_t value)
{
    drop(p, why);
    icmpv6_error(p, type_code, value);
}

static bool has_route(const struct packet *p)
{
    if (ipv6_is_on_link(p->network, &p->to6))
        return true;
    return p->plug && !ip6_is_link_local(&p->to6) &&
           (internet_network6(p->v, &p->to6) || internet_has_host6(p->v, &p->to6));
}

// A copy: the packet that came in may still be looked at by others.
static struct frame *copy(struct packet *p)
{
    const struct mac unknown = {{0}};
    struct frame *f = ethernet_begin(p, unknown, ETHERTYPE_IPV6, p->ip.n);
    if (!f)
        return NULL;
    put(f, p->ip.at, IPV6_HOP_LIMIT);
    put8(f, get8(p->ip, IPV6_HOP_LIMIT) - 1u);
    put(f, p->ip.at + IPV6_HOP_LIMIT + 1, p->ip.n - IPV6_HOP_LIMIT - 1);
    return f;
}

static void send(struct packet *p, bool on_link)
{
    struct frame *f = copy(p);
    if (!f)
        return;
    if (on_link)
        neighbour_send(p, &p->to6, f);
    else
        uplink_send(p, f);
    pool_release(&p->v->pool, f);
}

bool ipv6_fits(struct packet *p, uint16_t mtu)
{
    if (p->ip.n > mtu)
        refuse(p, VNET_DROP_TOO_BIG, ICMPV6_TOO_BIG, mtu);
    return p->ip.n <= mtu;
}

void ipv6_forward(struct packet *p)
{
    bool on_link = ipv6_is_on_link(p->network, &p->to6);
    uint16_t mtu = on_link ? p->network->is.mtu : p->network->is.wan_mtu;
    if (!has_route(p))
        refuse(p, VNET_DROP_NO_ROUTE, ICMPV6_NO_ROUTE, 0);
    else if (!on_link && ip6_is_link_local(&p->from6))
        refuse(p, VNET_DROP_NO_ROUTE, ICMPV6_BEYOND_SCOPE, 0); // RFC 4443, 3.1
    else if (get8(p->ip, IPV6_HOP_LIMIT) <= 1)
        refuse(p, VNET_DROP_TTL, ICMPV6_HOP_LIMIT, 0);
    else if (ipv6_fits(p, mtu))
        send(p, on_link);
}
