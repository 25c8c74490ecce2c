// A token bucket: so many at once, and so many a second.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    uint64_t full; // when it is, or will be, full again
};

// Takes a token of `size` that come back one each `interval` ns; false: it is empty.
static inline bool bucket_take(struct bucket *b, uint64_t now, uint64_t interval, unsigned size)
{
    if (b->full < now)
        b->full = now;
    if (b->full - now > interval * (size - 1))
        return false;
    b->full += interval;
    return true;
}
