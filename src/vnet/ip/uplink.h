// A router's uplink: a link each way between it and the internet, which joins all routers.
//
// A packet in it is an IPv4 or IPv6 packet behind an Ethernet header of which only the ethertype
// means anything.
#pragma once

#include "vnet/lab.h"

void uplink_init(struct network *net);

// The router's packet, into the internet. The caller has found a route to its destination
// (internet.h) and that it fits the uplink's MTU. Takes a reference of its own.
void uplink_send(struct packet *p, struct frame *f);

// The packet is an answer to p and goes back where that came from: into the LAN, to whom its
// Ethernet header says; into the uplink; or, from a host, into the internet. Ends the writer's
// part.
void uplink_answer(struct packet *p, struct frame *f);

// A packet out of the internet, for the router of this network. Takes a reference of its own.
void uplink_receive(struct vnet *v, struct network *to, struct frame *f);
