// IPv6 (RFC 8200), at the router.
#pragma once

#include "vnet/lab.h"

enum { IPV6_HEADER = 40 };
enum { PROTOCOL_FRAGMENT = 44, PROTOCOL_ICMPV6 = 58 };

// Where a header has them.
enum {
    IPV6_LENGTH = 4,
    IPV6_NEXT = 6,
    IPV6_HOP_LIMIT = 7,
    IPV6_FROM = 8,
    IPV6_TO = 24,
};
enum { IPV6_HOPS = 64 };        // RFC 1700, of answers
enum { IPV6_MTU_LEAST = 1280 }; // RFC 8200, 5

extern const struct ip6 ip6_none, ip6_all_nodes, ip6_all_routers;
extern const struct ip6 ip6_router; // fe80::1, in every network

static inline bool ip6_is_multicast(const struct ip6 *a)
{
    return a->octet[0] == 0xff;
}

static inline bool ip6_is_link_local(const struct ip6 *a)
{
    return a->octet[0] == 0xfe && (a->octet[1] & 0xc0) == 0x80;
}

// The group in which a host is asked for its MAC (RFC 4291, 2.7.1).
struct ip6 ip6_solicited_node(const struct ip6 *address);
// The MAC of a group (RFC 2464, 7).
struct mac ip6_group_mac(const struct ip6 *group);

// fe80::1 or the network's router6.
bool ipv6_is_router(const struct network *net, const struct ip6 *address);
// What an answer to p, or an error about it, has as its source: the address that was asked, else
// one of the router's.
const struct ip6 *ipv6_answer_from(const struct packet *p);
// The one of the router's that talks to `peer`.
const struct ip6 *ipv6_router_for(const struct network *net, const struct ip6 *peer);
// Whether it is an address of the network's prefix, if it has one.
bool ipv6_is_on_link(const struct network *net, const struct ip6 *address);

// A packet for the router of p->network; for p->host where there is one.
void ipv6_input(struct packet *p, struct bytes packet);

// The same, once its header and addresses are known to be right.
void ipv6_deliver(struct packet *p);

// A packet that is not for the router itself: to its LAN or its uplink (ipv6-forward.c).
void ipv6_forward(struct packet *p);
// Whether p fits. Else it is dropped and its sender told: only who sends may cut a packet.
bool ipv6_fits(struct packet *p, uint16_t mtu);

// ipv6-fragment.c: one of p's fragments, `header` being the fragment header and `x` at it. Delivers
// the packet when it is whole.
struct extensions;
void ipv6_join(struct packet *p, const struct extensions *x, struct bytes header);
// Whether a fragment header belongs to one of several.
bool ipv6_is_part(struct bytes header);

// A packet with room for n bytes; NULL as ethernet_begin(). ipv6_finish() fills in its length;
// ethernet_send() sends it into the network. ipv6_send() does both, to where p came from, in
// fragments where it must be.
struct frame *ipv6_begin(struct packet *p, struct mac to_mac, const struct ip6 *from,
                         const struct ip6 *to, uint8_t next, uint8_t hop_limit, size_t n);
void ipv6_finish(struct frame *f);
void ipv6_send(struct packet *p, struct frame *f);

// The sum of the pseudo header (RFC 8200, 8.1) of a packet whose addresses are `from` and `to`.
uint32_t ipv6_pseudo(const struct ip6 *from, const struct ip6 *to, uint8_t next, size_t n);
// The same of a packet that was written.
uint32_t ipv6_pseudo_written(const struct frame *f);
