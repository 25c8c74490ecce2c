// Addresses and routes of the guest's NICs.
#pragma once

#include "agent/why.h"
#include "agent/wire.h"

// Values of SET (wire.h). 0, or -1 with the reason.
//
// "MAC ADDRESS/PREFIX": the NIC goes up and gets the address. Others of that family that somebody
// gave it go, but those that the request (f) has, too.
int address_set(const struct wire_frame *f, const char *value, char why[static WHY_MAX]);
// "MAC DESTINATION/PREFIX [GATEWAY]", in the place of one to the same destination.
int route_set(const char *value, char why[static WHY_MAX]);
