// Walks over extension headers, with a bound. The router has no use for any of them.
#include "vnet/ip/extension.h"

#include "vnet/ip/icmpv6.h"
#include "vnet/ip/ipv6.h"

enum { HOP_BY_HOP = 0, ROUTING = 43, DESTINATION = 60 };
enum { EXTENSIONS_MAX = 8 }; // a packet of each kind has five (RFC 8200, 4.1)
enum { PAD1 = 0 };
enum { FRAGMENT_OFFSET = 0xfff8 };
enum { OPTION_DROP = 1, OPTION_TELL = 2, OPTION_TELL_UNICAST = 3 }; // RFC 8200, 4.2

// What to do about a header; `x` is at it. False: the packet goes no further.
static bool options(struct packet *p, const struct extensions *x, struct bytes header);
static bool hop_by_hop(struct packet *p, const struct extensions *x, struct bytes header);
static bool routing(struct packet *p, const struct extensions *x, struct bytes header);
static bool fragment(struct packet *p, const struct extensions *x, struct bytes header);

static const struct {
    uint8_t next;
    bool (*input)(struct packet *p, const struct extensions *x, struct bytes header);
} kinds[] = {
    {HOP_BY_HOP, hop_by_hop},
    {ROUTING, routing},
    {PROTOCOL_FRAGMENT, fragment},
    {DESTINATION, options},
};

static size_t offset(const struct packet *p, struct bytes header)
{
    return (size_t)(header.at - p->ip.at);
}

// RFC 8200, 4.2: the top two bits of an option that is not known say what to do.
static bool unknown(struct packet *p, struct bytes option)
{
    unsigned action = get8(option, 0) >> 6;
    if (action == 0)
        return true;
    drop(p, VNET_DROP_BAD_IPV6);
    if (action == OPTION_TELL || (action == OPTION_TELL_UNICAST && !ip6_is_multicast(&p->to6)))
        icmpv6_error(p, ICMPV6_BAD_OPTION, (uint32_t)offset(p, option));
    return false;
}

// A jumbogram's length is an unknown option, too: no frame has room for one.
static bool options(struct packet *p, const struct extensions *x, struct bytes header)
{
    struct bytes rest = header;
    struct bytes option;
    (void)x;
    pull(&rest, 2, &option);
    while (rest.n > 0) {
        bool alone = get8(rest, 0) == PAD1;
        if (!pull(&rest, alone ? 1 : 2 + (size_t)get8(rest, 1), &option)) {
            drop(p, VNET_DROP_BAD_IPV6);
            return false;
        }
        if (!unknown(p, option))
            return false;
    }
    return true;
}

// Only ever the first.
static bool hop_by_hop(struct packet *p, const struct extensions *x, struct bytes header)
{
    if (x->count == 0)
        return options(p, x, header);
    drop(p, VNET_DROP_BAD_IPV6);
    icmpv6_error(p, ICMPV6_BAD_NEXT_HEADER, (uint32_t)x->next_at);
    return false;
}

// The router is no stop on anybody's way: RFC 5095 for type 0, RFC 8200, 4.4 for all others.
static bool routing(struct packet *p, const struct extensions *x, struct bytes header)
{
    (void)x;
    if (get8(header, 3) == 0)
        return true; // it was the last
    drop(p, VNET_DROP_BAD_IPV6);
    icmpv6_error(p, ICMPV6_BAD_FIELD, (uint32_t)offset(p, header) + 2);
    return false;
}

// One that is all of its packet is as good as none (RFC 6946), but not to neighbour discovery.
// Nobody cuts a fragment.
static bool fragment(struct packet *p, const struct extensions *x, struct bytes header)
{
    if (p->fragment) {
        drop(p, VNET_DROP_BAD_IPV6);
        return false;
    }
    p->fragment = true;
    if (!ipv6_is_part(header))
        return true;
    ipv6_join(p, x, header);
    return false;
}

struct extensions extensions_begin(struct bytes packet)
{
    struct bytes header;
    struct extensions x = {
        .next = get8(packet, IPV6_NEXT), .next_at = IPV6_NEXT, .at = IPV6_HEADER, .rest = packet};
    pull(&x.rest, IPV6_HEADER, &header);
    return x;
}

static bool is_extension(uint8_t next)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].next == next)
            return true;
    return false;
}

bool extensions_step(struct extensions *x, struct bytes *header)
{
    size_t length = x->next == PROTOCOL_FRAGMENT ? 8 : 8 * (1 + (size_t)get8(x->rest, 1));
    size_t at = x->at;
    if (!is_extension(x->next) || !pull(&x->rest, length, header))
        return false;
    bool is_later = x->next == PROTOCOL_FRAGMENT && get16(*header, 2) & FRAGMENT_OFFSET;
    *x = (struct extensions){.next = get8(*header, 0),
                             .next_at = at,
                             .at = at + length,
                             .rest = x->rest,
                             .count = x->count + 1,
                             .later = x->later || is_later};
    return true;
}

static bool input(struct packet *p, const struct extensions *x, struct bytes header)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].next == x->next)
            return kinds[i].input(p, x, header);
    return true;
}

bool extensions_input(struct packet *p, struct extensions *x)
{
    struct extensions before = *x;
    struct bytes header;
    while (extensions_step(x, &header)) {
        if (x->count > EXTENSIONS_MAX) {
            drop(p, VNET_DROP_BAD_IPV6);
            return false;
        }
        if (!input(p, &before, header))
            return false;
        before = *x;
    }
    if (is_extension(x->next))
        drop(p, VNET_DROP_BAD_IPV6); // it is cut short
    return !is_extension(x->next);
}
