// A TCP segment becomes several, as segmentation offload does it: libslirp works for each that it
// makes, so it makes few, and large ones.
#pragma once

#include "vnet/egress/segment.h"

struct split {
    uint8_t head[SEGMENT_DATA]; // the headers of the first one, to be changed before it is taken
    const uint8_t *data;        // what is left
    size_t n;
    size_t most; // of one's data
};

// False: what is in the frame is to go as it is.
bool split_begin(struct split *s, const uint8_t *frame, size_t n);

// How long the next frame is; 0: there is none.
size_t split_size(const struct split *s);
// Writes it; `id` is its packet's.
void split_take(struct split *s, uint8_t *out, uint16_t id);
