// A packet becomes fragments that the way out takes (RFC 791, 3.2): libslirp, which makes large
// segments (mss.h), makes packets of other protocols as large.
#pragma once

#include "vnet/egress/segment.h"

struct fragment {
    const uint8_t *frame;
    size_t at, end, most; // of the payload: what is left, and how much of it fits
};

// False: what is in the frame fits, or is no packet without options; it is to go as it is.
bool fragment_begin(struct fragment *f, const uint8_t *frame, size_t n, size_t mtu);

// How long the next frame is; 0: there is none.
size_t fragment_size(const struct fragment *f);
void fragment_take(struct fragment *f, uint8_t *out);
