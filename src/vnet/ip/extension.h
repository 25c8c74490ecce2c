// IPv6 extension headers (RFC 8200, 4).
#pragma once

#include "vnet/lab.h"

struct extensions {
    uint8_t next;      // the kind of what begins at `rest`
    size_t next_at;    // where in the packet that is said
    size_t at;         // where in the packet `rest` begins
    struct bytes rest; // what was not walked over yet
    unsigned count;    // of the headers passed
    bool later;        // passed was that of a later fragment: what follows is no header
};

// At the first one, or where there is none at the payload. The packet is at least a header long.
struct extensions extensions_begin(struct bytes packet);

// Walks over one; false: there is none, or no whole one. `header` is it, from its first byte.
bool extensions_step(struct extensions *x, struct bytes *header);

// Walks over those of a packet for the router and does what they ask. False, and the packet is
// dropped, where they are malformed, too many, or unknown to a router that must know them.
bool extensions_input(struct packet *p, struct extensions *x);
