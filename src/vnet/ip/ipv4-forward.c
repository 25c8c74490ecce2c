// Forwards IPv4 packets (RFC 1812, 5.2 and 5.3): between the LAN and the uplink, and from one host
// of the LAN to another that takes the router for the way to it.
#include "vnet/ip/checksum.h"
#include "vnet/ip/icmp.h"
#include "vnet/ip/internet.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/neighbour.h"
#include "vnet/ip/uplink.h"
#include "vnet/ip/way-out.h"
#include "vnet/nat/nat.h"
#include "vnet/services/dns-tcp.h"
#include "vnet/switch/ethernet.h"

struct way {
    size_t mtu;
    void (*send)(struct packet *p, struct frame *f);
};

static void to_lan(struct packet *p, struct frame *f)
{
    const struct ip6 address = ip6_mapped(p->to);
    neighbour_send(p, &address, f);
}

// From the egress into the internet.
static void to_internet(struct packet *p, struct frame *f)
{
    uplink_send(p, f);
}

// The internet is asked before a packet goes there, so that the error comes from the sender's
// router and at once.
static bool find_way(const struct packet *p, struct way *way)
{
    const struct network *net = p->network;
    if (ipv4_is_host(net, p->to))
        *way = (struct way){net->is.mtu, to_lan};
    else if (p->plug && (internet_network4(p->v, p->to) || internet_has_host4(p->v, p->to) ||
                         way_out_leads_to(p->v, p->to)))
        *way = (struct way){net->is.wan_mtu, uplink_send};
    else if (way_out_is(p->v, net))
        *way = (struct way){net->is.wan_mtu, to_internet};
    else
        return false;
    return true;
}

static void change(struct frame *f, size_t at, uint16_t new)
{
    struct bytes header = written(f, ETHERNET_HEADER);
    uint16_t old = get16(header, at);
    uint16_t sum = get16(header, IPV4_CHECKSUM);
    patch16(f, ETHERNET_HEADER + at, new);
    patch16(f, ETHERNET_HEADER + IPV4_CHECKSUM, checksum_change(sum, old, new));
}

// TTL and protocol are one word of the header's sum.
void ipv4_use_up_ttl(struct frame *f)
{
    change(f, IPV4_TTL, (uint16_t)(get16(written(f, ETHERNET_HEADER), IPV4_TTL) - 0x0100));
}

void ipv4_let_fragment(struct frame *f)
{
    uint16_t flags = get16(written(f, ETHERNET_HEADER), IPV4_FRAGMENT);
    change(f, IPV4_FRAGMENT, flags & (uint16_t)~IPV4_DONT_FRAGMENT);
}

void ipv4_forward(struct packet *p, struct frame *f)
{
    struct way way;
    if (!find_way(p, &way)) {
        drop(p, VNET_DROP_NO_ROUTE);
        icmp_error(p, ICMP_NET_UNREACHABLE, 0);
    } else if (get8(p->ip, IPV4_TTL) <= 1) {
        drop(p, VNET_DROP_TTL);
        icmp_error(p, ICMP_TIME_EXCEEDED, 0);
    } else if (ipv4_fits(p, f, way.mtu)) {
        ipv4_use_up_ttl(f);
        if (way.send == to_lan && !p->plug && p->from == VNET_EGRESS_DNS)
            dns_tcp_in(p, f);
        if (!p->network->nat || way.send != uplink_send || nat_out(p, f))
            ipv4_transmit(p, f, way.mtu, way.send);
    }
}
