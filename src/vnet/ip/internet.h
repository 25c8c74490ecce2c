// The internet between the routers: it brings a packet to the router of the network that has its
// destination, or to a host of its own. It has no routers of its own, and takes no time.
#pragma once

#include "vnet/lab.h"

struct host {
    uint32_t address; // 0: none
    struct ip6 address6;
    struct bucket errors;
};

// Who gets a packet for an address: the network that has it as its WAN address or, unless it is
// behind a NAT, in its LAN; NULL: none.
struct network *internet_network4(const struct vnet *v, uint32_t to);
struct network *internet_network6(const struct vnet *v, const struct ip6 *to);

// Whether an address is in what the way out has for itself.
bool internet_is_reserved(uint32_t address);

bool internet_has_host4(const struct vnet *v, uint32_t address);
bool internet_has_host6(const struct vnet *v, const struct ip6 *address);

// A packet out of the uplink of `from`.
void internet_input(struct vnet *v, struct network *from, struct frame *f);
