// A network's Ethernet switch. Nothing leaves the network, and nothing goes back where it came
// from.
#pragma once

#include "vnet/lab.h"

// Notes that the sender's MAC is at its plug. False, and the packet is dropped, where it is another
// plug's or a router's, or the plug has too many.
bool switch_learn(const struct packet *p);

// A guest's frame for everybody else in the network.
void switch_flood(const struct packet *p, struct bytes frame);
// A guest's frame for another guest: to the plug that has the MAC; flooded while nobody has.
void switch_unicast(const struct packet *p, struct bytes frame);

// The router's frame, to whom its header says.
void switch_send(const struct packet *p, struct frame *f);
