// Telling a network that a guest with another MAC is there.
#pragma once

#include "agent/kept.h"
#include "agent/nics.h"
#include "agent/why.h"

// Sends the first frames of the NIC with this MAC. note is what was sent; -1: the reason.
int announce(struct kept *kept, const char *mac, const struct nics *known,
             char note[static WHY_MAX]);
