// Frames in a stream, as QEMU's `-netdev stream` has them: the length, four bytes, big-endian, then
// the frame.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    FRAMING_HEADER = 4,
    FRAMING_MAX = 4096 + 65536, // the longest frame that QEMU sends or takes (its NET_BUFSIZE)
};

// Looks at the beginning of `data`. Returns the number of bytes that the first frame and its header
// take; 0 where more are needed; -1 with *e for a length that no frame has: where the next one
// begins cannot be told.
long framing_take(const uint8_t *data, size_t n, struct err *e);

void framing_put(uint8_t out[static FRAMING_HEADER], uint32_t length);
