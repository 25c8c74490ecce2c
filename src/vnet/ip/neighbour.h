// The hosts on a router's LAN: which MAC has an address, asked by ARP and by neighbour discovery.
//
// IPv4 addresses are mapped into IPv6 (::ffff:192.0.2.1, RFC 4291, 2.5.5.2).
#pragma once

#include "vnet/lab.h"

static inline struct ip6 ip6_mapped(uint32_t v4)
{
    return (struct ip6){{[10] = 0xff,
                         0xff,
                         (uint8_t)(v4 >> 24),
                         (uint8_t)(v4 >> 16),
                         (uint8_t)(v4 >> 8),
                         (uint8_t)v4}};
}

struct neighbours *neighbours_new(struct vnet *v, struct network *net);
void neighbours_free(struct neighbours *ns);

// The router's packet for a host on its LAN: fills in the Ethernet header's MACs and sends it, now
// or when the host has answered. A host that does not answer drops it at p's plug or network with
// no-neighbour, and has the sender told (host unreachable). Takes a reference of its own.
void neighbour_send(struct packet *p, const struct ip6 *address, struct frame *f);

// A host said which MAC it has. A `known` one only: an entry is not made, only changed.
void neighbour_learn(struct vnet *v, struct network *net, const struct ip6 *address, struct mac mac,
                     bool known);

// The MAC that a host said it has; false: it has not, yet.
bool neighbour_find(const struct network *net, const struct ip6 *address, struct mac *mac);

// The IPv4 address that a host with this MAC spoke from; 0: none is known.
uint32_t neighbour_address(const struct network *net, struct mac mac);

// Drops the frames from this plug that wait for a host's answer.
void neighbours_forget(struct vnet *v, const struct plug *plug);
