// ARP (RFC 826), as the router speaks it.
#pragma once

#include "vnet/lab.h"

void arp_input(struct packet *p, struct bytes payload);
