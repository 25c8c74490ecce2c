// ARP (RFC 826), as the router speaks it.
#pragma once

#include "vnet/lab.h"

void arp_input(struct packet *p, struct bytes payload);

// Asks everybody (`mac` NULL), or the host that had this MAC, for a host of the LAN (neighbour.h).
void arp_solicit(struct packet *p, const struct ip6 *address, const struct mac *mac);
