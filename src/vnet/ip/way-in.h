// Connections from outside to guests. The egress sends them to ports of the lab itself
// (VNET_EGRESS_ROUTER), and the lab's owner says to whom each leads. A guest sees its router at the
// other end, with a port that tells who it is: it needs no route to answer, and it does not matter
// which NATs lie between.
#pragma once

#include "vnet/lab.h"

struct way_in;

struct way_in *way_in_new(struct vnet *v, struct network *way_out);
void way_in_free(struct way_in *w); // NULL too

// A whole packet for the router itself: false where it is of no such connection, nor the first of
// one.
bool way_in_takes(struct packet *p, uint8_t protocol, struct bytes payload);
