// A network's Ethernet switch. Nothing leaves the network, and nothing goes back where it came
// from.
#pragma once

#include "vnet/lab.h"

// Notes that the sender's MAC is at its plug. False, and the packet is dropped, where it is another
// plug's that keeps it, or the router's, or the plug has too many.
bool switch_learn(struct packet *p);

// A guest's frame for everybody else in the network.
void switch_flood(struct packet *p, struct bytes frame);
// A guest's frame for another guest: to the plug that has the MAC; flooded while nobody has, where
// the network does that.
void switch_unicast(struct packet *p, struct bytes frame);

// The router's frame, to whom its header says.
void switch_send(struct packet *p, struct frame *f);
