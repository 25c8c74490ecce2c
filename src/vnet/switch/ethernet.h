// Ethernet II headers, coming and going.
#pragma once

#include "vnet/lab.h"

enum { ETHERNET_HEADER = 14 };
enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806, ETHERTYPE_IPV6 = 0x86dd };

static inline bool mac_equal(struct mac a, struct mac b)
{
    return memcmp(a.octet, b.octet, sizeof a.octet) == 0;
}

// Broadcast or multicast.
static inline bool mac_is_group(struct mac mac)
{
    return mac.octet[0] & 1;
}

extern const struct mac mac_broadcast;

// A whole frame from a plug.
void ethernet_input(struct packet *p, struct bytes frame);

// A packet from the router's uplink, behind an Ethernet header of which only the type counts.
void ethernet_from_uplink(struct packet *p, struct bytes frame);

// An answer from the router with room for n bytes after its Ethernet header; NULL, and the packet
// it answers is dropped, where no buffer is left.
struct frame *ethernet_begin(struct packet *p, struct mac to, unsigned ethertype, size_t n);
// Ends the writer's part: sends the frame into the packet's network, unless it did not fit.
void ethernet_send(struct packet *p, struct frame *f);
