// The router answers for its own addresses, and asks for its neighbours'. What guests say to each
// other, duplicate address detection above all, is the switch's business.
#include "vnet/ip/ndp.h"

#include "vnet/ip/icmpv6.h"
#include "vnet/ip/ipv6.h"
#include "vnet/ip/neighbour.h"
#include "vnet/switch/ethernet.h"

enum { NDP_TARGET = 8, NDP_FIXED = 24 }; // of solicitations and advertisements of neighbours
enum { ROUTER = 0x80, SOLICITED = 0x40, OVERRIDE = 0x20 };
enum { OPTION_UNIT = 8, OPTION_HEADER = 2 };

static const uint8_t fixed_sizes[] = {8, 16, NDP_FIXED, NDP_FIXED, 40}; // by type, from 133

static size_t option_size(struct bytes options)
{
    return OPTION_UNIT * (size_t)get8(options, 1);
}

static bool are_options(struct bytes options)
{
    struct bytes option;
    while (options.n > 0)
        if (option_size(options) == 0 || !pull(&options, option_size(options), &option))
            return false;
    return true;
}

// In options that are sound.
static bool find_option(struct bytes options, unsigned type, struct bytes *option)
{
    while (options.n > 0 && pull(&options, option_size(options), option))
        if (get8(*option, 0) == type)
            return true;
    return false;
}

bool ndp_find_mac(struct bytes options, unsigned type, struct mac *mac)
{
    struct bytes option;
    if (!find_option(options, type, &option) || option.n != OPTION_UNIT ||
        mac_is_group(get_mac(option, OPTION_HEADER)))
        return false;
    *mac = get_mac(option, OPTION_HEADER);
    return true;
}

void ndp_put_mac(struct frame *f, unsigned type, struct mac mac)
{
    put8(f, type);
    put8(f, 1);
    put_mac(f, mac);
}

bool ndp_is_sound(const struct packet *p, struct bytes message)
{
    struct bytes source;
    struct bytes fixed;
    size_t size = fixed_sizes[get8(message, 0) - (ICMPV6_ROUTER_SOLICITATION >> 8)];
    if (get8(p->ip, IPV6_HOP_LIMIT) != NDP_HOP_LIMIT || p->fragment || get8(message, 1) != 0 ||
        !pull(&message, size, &fixed) || !are_options(message))
        return false;
    return !ip6_equal(&p->from6, &ip6_none) || !find_option(message, NDP_SOURCE_MAC, &source);
}

struct mac ndp_learn_source(struct packet *p, struct bytes options)
{
    struct mac mac = p->from_mac;
    if (ndp_find_mac(options, NDP_SOURCE_MAC, &mac))
        neighbour_learn(p->v, p->network, &p->from6, mac, false);
    return mac;
}

// To everybody, where the asker has no address yet: it does not get this one.
static void advertise(struct packet *p, const struct ip6 *address, struct mac to_mac)
{
    bool to_all = ip6_equal(&p->from6, &ip6_none);
    const struct ip6 *to = to_all ? &ip6_all_nodes : &p->from6;
    struct frame *f =
        icmpv6_begin(p, to_all ? ip6_group_mac(to) : to_mac, address, to,
                     ICMPV6_NEIGHBOUR_ADVERTISEMENT, NDP_HOP_LIMIT, NDP_FIXED + OPTION_UNIT);
    if (!f)
        return;
    put8(f, ROUTER | OVERRIDE | (to_all ? 0 : SOLICITED));
    put_zeros(f, 3);
    put(f, address, sizeof *address);
    ndp_put_mac(f, NDP_TARGET_MAC, p->network->router_mac);
    icmpv6_finish(f);
    ethernet_send(p, f);
}

// RFC 4861, 7.1.1.
static bool is_solicitation(const struct packet *p, const struct ip6 *target)
{
    const struct ip6 group = ip6_solicited_node(target);
    return !ip6_is_multicast(target) &&
           (!ip6_equal(&p->from6, &ip6_none) || ip6_equal(&p->to6, &group));
}

void ndp_solicited(struct packet *p, struct bytes message)
{
    const struct ip6 target = get_ip6(message, NDP_TARGET);
    struct bytes fixed;
    if (!pull(&message, NDP_FIXED, &fixed) || !is_solicitation(p, &target))
        drop(p, VNET_DROP_BAD_NDP);
    else if (ipv6_is_router(p->network, &target))
        advertise(p, &target, ndp_learn_source(p, message));
}

// RFC 4861, 7.2.5: without "override" an advertisement changes no MAC, and one without a MAC says
// that the old one is still right.
static void learn(struct packet *p, const struct ip6 *target, uint8_t flags, struct bytes options)
{
    struct mac old;
    struct mac mac;
    bool is_known = neighbour_find(p->network, target, &old);
    if (!ndp_find_mac(options, NDP_TARGET_MAC, &mac)) {
        if (!is_known || !(flags & SOLICITED))
            return;
        mac = old;
    }
    if (!is_known || (flags & OVERRIDE) || mac_equal(mac, old))
        neighbour_learn(p->v, p->network, target, mac, true);
}

void ndp_advertised(struct packet *p, struct bytes message)
{
    const struct ip6 target = get_ip6(message, NDP_TARGET);
    uint8_t flags = get8(message, ICMPV6_HEADER);
    struct bytes fixed;
    if (!pull(&message, NDP_FIXED, &fixed) || ip6_is_multicast(&target) ||
        (ip6_is_multicast(&p->to6) && (flags & SOLICITED))) {
        drop(p, VNET_DROP_BAD_NDP);
        return;
    }
    learn(p, &target, flags, message);
}

void ndp_solicit(struct packet *p, const struct ip6 *address, const struct mac *mac)
{
    const struct ip6 group = ip6_solicited_node(address);
    const struct ip6 *to = mac ? address : &group;
    struct frame *f =
        icmpv6_begin(p, mac ? *mac : ip6_group_mac(to), ipv6_router_for(p->network, address), to,
                     ICMPV6_NEIGHBOUR_SOLICITATION, NDP_HOP_LIMIT, NDP_FIXED + OPTION_UNIT);
    if (!f)
        return;
    put32(f, 0);
    put(f, address, sizeof *address);
    ndp_put_mac(f, NDP_SOURCE_MAC, p->network->router_mac);
    icmpv6_finish(f);
    ethernet_send(p, f);
}
