// A router's NAT (RFC 3022, RFC 4787, RFC 5382, RFC 5508) between its LAN and its WAN address.
#pragma once

#include "vnet/lab.h"

// NULL for a network that has none.
struct nat *nat_new(struct vnet *v, struct network *net);
void nat_free(struct nat *nat);

// A packet of the LAN's on its way into the uplink gets the WAN address as its source. False: it is
// dropped.
bool nat_out(struct packet *p, struct frame *f);

// A packet for the WAN address, also from the LAN ("hairpin").
enum nat_verdict {
    NAT_OURS,   // it is for the router itself, and as it was
    NAT_INSIDE, // p->to in the LAN is its destination now
    NAT_DROPPED,
};
enum nat_verdict nat_in(struct packet *p, struct frame *f);

// Gives one end of a packet of TCP or UDP that is no later fragment another address and port.
enum nat_side { NAT_FROM, NAT_TO };
void nat_rewrite(struct frame *f, enum nat_side side, uint32_t address, uint16_t port);

// The router's own error about a packet on its way in, whose message begins at `icmp` and has no
// checksum yet: quotes the packet as its sender knows it.
void nat_quote(const struct packet *p, struct frame *f, size_t icmp);
