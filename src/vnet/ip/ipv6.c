// Checks IPv6 headers and addresses, and hands on what is for the router itself.
#include "vnet/ip/ipv6.h"

#include "vnet/ip/checksum.h"
#include "vnet/ip/extension.h"
#include "vnet/ip/icmpv6.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/tcp.h"
#include "vnet/ip/udp.h"
#include "vnet/switch/ethernet.h"

enum { NO_NEXT_HEADER = 59, GROUP_PREFIX = 13 };

const struct ip6 ip6_none = {{0}};
const struct ip6 ip6_all_nodes = {{0xff, 0x02, [15] = 1}};
const struct ip6 ip6_all_routers = {{0xff, 0x02, [15] = 2}};
const struct ip6 ip6_router = {{0xfe, 0x80, [15] = 1}};

static const struct {
    uint8_t next;
    bool by_group; // what is for a group of the router's, too
    void (*input)(struct packet *p, struct bytes payload);
} protocols[] = {
    {PROTOCOL_ICMPV6, true, icmpv6_input},
    {PROTOCOL_TCP, false, tcp_input},
    {PROTOCOL_UDP, false, udp_input},
};

struct ip6 ip6_solicited_node(const struct ip6 *address)
{
    struct ip6 group = {{0xff, 0x02, [11] = 1, [12] = 0xff}};
    memcpy(group.octet + GROUP_PREFIX, address->octet + GROUP_PREFIX,
           sizeof group.octet - GROUP_PREFIX);
    return group;
}

struct mac ip6_group_mac(const struct ip6 *group)
{
    const uint8_t *at = group->octet;
    return (struct mac){{0x33, 0x33, at[12], at[13], at[14], at[15]}};
}

bool ipv6_is_router(const struct network *net, const struct ip6 *address)
{
    return ip6_equal(address, &ip6_router) || ip6_equal(address, &net->is.router6);
}

const struct ip6 *ipv6_router_for(const struct network *net, const struct ip6 *peer)
{
    return ip6_is_link_local(peer) ? &ip6_router : &net->is.router6;
}

const struct ip6 *ipv6_answer_from(const struct packet *p)
{
    if (p->host || ipv6_is_router(p->network, &p->to6))
        return &p->to6;
    return ipv6_router_for(p->network, &p->from6);
}

bool ipv6_is_on_link(const struct network *net, const struct ip6 *address)
{
    return net->is.prefix6 && memcmp(&net->is.router6, address, net->is.prefix6 / 8) == 0;
}

// The groups that the router is in (RFC 4291, 2.8).
static bool is_group(const struct network *net, const struct ip6 *address)
{
    const struct ip6 mine[] = {ip6_all_nodes, ip6_all_routers, ip6_solicited_node(&ip6_router),
                               ip6_solicited_node(&net->is.router6)};
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++)
        if (ip6_equal(address, &mine[i]))
            return true;
    return false;
}

// A payload length of 0 would be a jumbogram's (RFC 2675) or of nothing. An Ethernet frame may be
// padded.
static bool split(struct bytes packet, struct bytes *whole)
{
    size_t length = get16(packet, IPV6_LENGTH);
    return packet.n >= IPV6_HEADER && get8(packet, 0) >> 4 == 6 && length > 0 &&
           pull(&packet, IPV6_HEADER + length, whole);
}

// Addresses that never are on a wire: the loopback (RFC 4291, 2.5.3) and IPv4's (2.5.5).
static bool is_impossible(const struct ip6 *a)
{
    const struct ip6 loopback = {{[15] = 1}};
    const struct ip6 mapped = {{[10] = 0xff, [11] = 0xff}};
    return ip6_equal(a, &loopback) || memcmp(a, &mapped, 12) == 0;
}

// Nobody has a group's or the router's address, and guests none of another network (RFC 2827).
// Only who asks for an address has none, and it asks a group.
static bool is_martian(const struct packet *p)
{
    const struct ip6 *from = &p->from6;
    if (is_impossible(from) || is_impossible(&p->to6) || ip6_equal(&p->to6, &ip6_none) ||
        ip6_is_multicast(from) || ipv6_is_router(p->network, from))
        return true;
    if (ip6_equal(from, &ip6_none))
        return !p->plug || !ip6_is_multicast(&p->to6);
    if (!p->plug)
        return ip6_is_link_local(from) || ipv6_is_on_link(p->network, from);
    return !ip6_is_link_local(from) && !ipv6_is_on_link(p->network, from);
}

// Nobody is told that the router does not know what it sent to a group.
void ipv6_deliver(struct packet *p)
{
    struct extensions x = extensions_begin(p->ip);
    if (!extensions_input(p, &x))
        return;
    bool group = ip6_is_multicast(&p->to6);
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        if (protocols[i].next == x.next && (protocols[i].by_group || !group)) {
            protocols[i].input(p, x.rest);
            return;
        }
    }
    if (group || x.next == NO_NEXT_HEADER)
        return;
    drop(p, VNET_DROP_NO_PROTOCOL);
    icmpv6_error(p, ICMPV6_BAD_NEXT_HEADER, (uint32_t)x.next_at);
}

void ipv6_input(struct packet *p, struct bytes packet)
{
    if (!split(packet, &p->ip)) {
        drop(p, VNET_DROP_BAD_IPV6);
        return;
    }
    p->from6 = get_ip6(p->ip, IPV6_FROM);
    p->to6 = get_ip6(p->ip, IPV6_TO);
    bool group = ip6_is_multicast(&p->to6);
    if (group && (!p->plug || !is_group(p->network, &p->to6)))
        return; // the switch's business
    if (!p->host && is_martian(p))
        drop(p, VNET_DROP_MARTIAN);
    else if (!group && p->plug && mac_is_group(p->to_mac))
        drop(p, VNET_DROP_LINK_BROADCAST); // as with IPv4 (RFC 1122, 3.3.6)
    else if (p->host || group || ipv6_is_router(p->network, &p->to6))
        ipv6_deliver(p);
    else
        ipv6_forward(p);
}

struct frame *ipv6_begin(struct packet *p, struct mac to_mac, const struct ip6 *from,
                         const struct ip6 *to, uint8_t next, uint8_t hop_limit, size_t n)
{
    struct frame *f = ethernet_begin(p, to_mac, ETHERTYPE_IPV6, IPV6_HEADER + n);
    if (!f)
        return NULL;
    put32(f, 6u << 28); // ordinary traffic, no flow
    put16(f, 0);        // length, see ipv6_finish()
    put8(f, next);
    put8(f, hop_limit);
    put(f, from, sizeof *from);
    put(f, to, sizeof *to);
    return f;
}

void ipv6_finish(struct frame *f)
{
    patch16(f, ETHERNET_HEADER + IPV6_LENGTH,
            (unsigned)written(f, ETHERNET_HEADER + IPV6_HEADER).n);
}

uint32_t ipv6_pseudo(const struct ip6 *from, const struct ip6 *to, uint8_t next, size_t n)
{
    uint32_t sum = next + (uint32_t)n;
    sum = checksum_add(sum, (struct bytes){from->octet, sizeof from->octet});
    return checksum_add(sum, (struct bytes){to->octet, sizeof to->octet});
}

uint32_t ipv6_pseudo_written(const struct frame *f)
{
    struct bytes header = written(f, ETHERNET_HEADER);
    const struct ip6 from = get_ip6(header, IPV6_FROM);
    const struct ip6 to = get_ip6(header, IPV6_TO);
    size_t n = written(f, ETHERNET_HEADER + IPV6_HEADER).n;
    return ipv6_pseudo(&from, &to, get8(header, IPV6_NEXT), n);
}
