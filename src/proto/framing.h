// Frames in a stream, as QEMU's `-netdev stream` has them: the length, four bytes, big-endian, then
// the frame.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    FRAMING_HEADER = 4,
    FRAMING_MAX = 4096 + 65536, // the longest frame that QEMU sends or takes (its NET_BUFSIZE)
    FRAMING_READ_MAX = 32 << 10,
};

// Looks at the beginning of `data`. Returns the number of bytes that the first frame and its header
// take; 0 where more are needed; -1 with *e for a length that no frame has: where the next one
// begins cannot be told.
long framing_take(const uint8_t *data, size_t n, struct err *e);

void framing_put(uint8_t out[static FRAMING_HEADER], uint32_t length);

// What has come of a stream and was not passed on yet.
struct framing {
    size_t n;
    uint8_t *buffer;
};

void framing_init(struct framing *s);
void framing_fini(struct framing *s);

// Reads at most FRAMING_READ_MAX bytes of what is there. False: the stream has ended, or failed
// with *e.
bool framing_fill(struct framing *s, int fd, struct err *e);
// Passes on all whole frames. -1 with *e for a length that no frame has.
int framing_pass(struct framing *s, void (*take)(void *arg, const uint8_t *frame, size_t n),
                 void *arg, struct err *e);
// Takes the first bytes away.
void framing_skip(struct framing *s, size_t n);
