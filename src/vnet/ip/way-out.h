// The way out: what no network and no host of the lab has goes to the egress, through a router of
// its own with a NAT. To the egress there is one host, 192.0.0.2 of a network that nobody routes
// (RFC 7335), and its answers find back by that NAT.
//
// A service is a port of the internet that somebody outside of the lab answers, though the address
// is a host of the lab's internet.
#pragma once

#include "vnet/lab.h"

void way_out_free(struct way_out *out);

// Whether a packet for this address, which no network has, may go there; `host` is the lab's own,
// or NULL.
bool way_out_takes(const struct vnet *v, struct bytes packet, const struct host *host);
// Whether any packet for it may.
bool way_out_leads_to(const struct vnet *v, uint32_t address);
bool way_out_is(const struct vnet *v, const struct network *net);

// Connections the other way round; NULL: there is no way out.
struct way_in *way_out_in(const struct vnet *v);

// What its own queries need; NULL: there is no resolver.
struct relay *way_out_relay(const struct vnet *v);
struct network *way_out_network(const struct vnet *v);

void way_out_send(struct vnet *v, struct frame *f);
