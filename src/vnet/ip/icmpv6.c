// The router answers pings, all of them, and tells senders of packets that it cannot bring on.
#include "vnet/ip/icmpv6.h"

#include "vnet/ip/extension.h"
#include "vnet/ip/internet.h"
#include "vnet/ip/ip.h"
#include "vnet/ip/ipv6.h"
#include "vnet/ip/ndp.h"
#include "vnet/ip/ra.h"
#include "vnet/ip/uplink.h"
#include "vnet/switch/ethernet.h"

enum { AT_CHECKSUM = 2 };
enum { REDIRECT = 137 };
enum { FIRST_INFORMATIONAL = 128 }; // types below are errors' (RFC 4443, 2.1)

struct frame *icmpv6_begin(struct packet *p, struct mac to_mac, const struct ip6 *from,
                           const struct ip6 *to, unsigned type_code, uint8_t hop_limit, size_t n)
{
    struct frame *f =
        ipv6_begin(p, to_mac, from, to, PROTOCOL_ICMPV6, hop_limit, ICMPV6_HEADER + n);
    if (!f)
        return NULL;
    put16(f, type_code);
    put16(f, 0); // checksum, see icmpv6_finish()
    return f;
}

void icmpv6_finish(struct frame *f)
{
    patch16(f, ip_payload(f) + AT_CHECKSUM, ip_checksum(f));
    ipv6_finish(f);
}

// A ping to a group is answered from an address of the router's own (RFC 4443, 4.2).
static void echo(struct packet *p, struct bytes message)
{
    if (ip6_equal(&p->from6, &ip6_none)) {
        drop(p, VNET_DROP_MARTIAN); // there is nobody to answer
        return;
    }
    struct frame *f = icmpv6_begin(p, p->from_mac, ipv6_answer_from(p), &p->from6,
                                   ICMPV6_ECHO_REPLY, IPV6_HOPS, message.n - ICMPV6_HEADER);
    if (!f)
        return;
    put(f, message.at + ICMPV6_HEADER, message.n - ICMPV6_HEADER);
    icmpv6_finish(f);
    ipv6_send(p, f);
}

// Everything else has no answer: errors, what routers and members of groups say.
static const struct {
    uint16_t type_code;
    uint8_t least; // bytes
    void (*input)(struct packet *p, struct bytes message);
} messages[] = {
    {ICMPV6_ECHO_REQUEST, 8, echo},
    {ICMPV6_ROUTER_SOLICITATION, 8, ra_solicited},
    {ICMPV6_NEIGHBOUR_SOLICITATION, 24, ndp_solicited},
    {ICMPV6_NEIGHBOUR_ADVERTISEMENT, 24, ndp_advertised},
};

static bool is_ndp(unsigned type)
{
    return type >= ICMPV6_ROUTER_SOLICITATION >> 8 && type <= REDIRECT;
}

static bool is_sound(const struct packet *p, struct bytes message)
{
    return message.n >= ICMPV6_HEADER && ip_is_sound(p, PROTOCOL_ICMPV6, message);
}

void icmpv6_input(struct packet *p, struct bytes message)
{
    if (!is_sound(p, message)) {
        drop(p, VNET_DROP_BAD_ICMP);
        return;
    }
    bool ndp = is_ndp(get8(message, 0));
    if (ndp && !ndp_is_sound(p, message)) {
        drop(p, VNET_DROP_BAD_NDP);
        return;
    }
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        if (messages[i].type_code >> 8 != get8(message, 0))
            continue;
        if (message.n < messages[i].least)
            drop(p, ndp ? VNET_DROP_BAD_NDP : VNET_DROP_BAD_ICMP);
        else
            messages[i].input(p, message);
        return;
    }
}

// Whether a packet is itself an error or a redirect. These are too short to be fragmented.
static bool is_error(struct bytes packet)
{
    struct extensions x = extensions_begin(packet);
    struct bytes header;
    while (extensions_step(&x, &header))
        continue;
    return x.next == PROTOCOL_ICMPV6 && !x.later &&
           (get8(x.rest, 0) < FIRST_INFORMATIONAL || get8(x.rest, 0) == REDIRECT);
}

// RFC 4443, 2.4 (e): a group is told of two things only.
static bool may_be_told(const struct packet *p, unsigned type_code)
{
    bool group = ip6_is_multicast(&p->to6) || (p->plug && mac_is_group(p->to_mac));
    if (group && type_code != ICMPV6_TOO_BIG && type_code != ICMPV6_BAD_OPTION)
        return false;
    return !ip6_is_multicast(&p->from6) && !ip6_equal(&p->from6, &ip6_none) && !is_error(p->ip);
}

void icmpv6_error(struct packet *p, unsigned type_code, uint32_t value)
{
    size_t room = IPV6_MTU_LEAST - IPV6_HEADER - ICMPV6_HEADER - sizeof value;
    size_t n = p->ip.n < room ? p->ip.n : room;
    struct bucket *bucket = p->host ? &p->host->errors : &p->network->errors;
    if (!may_be_told(p, type_code) || !bucket_take(bucket, p->v->now, ERROR_INTERVAL, ERROR_BURST))
        return;
    struct frame *f = icmpv6_begin(p, p->from_mac, ipv6_answer_from(p), &p->from6, type_code,
                                   IPV6_HOPS, sizeof value + n);
    if (!f)
        return;
    put32(f, value);
    put(f, p->ip.at, n);
    icmpv6_finish(f);
    uplink_answer(p, f);
}

void icmpv6_no_neighbour(struct packet *p, struct bytes packet)
{
    p->ip = packet;
    p->from6 = get_ip6(packet, IPV6_FROM);
    p->to6 = get_ip6(packet, IPV6_TO);
    icmpv6_error(p, ICMPV6_NO_ADDRESS, 0);
}
