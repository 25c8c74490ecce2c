// A fixed number of buffers for frames, in three sizes, reserved once.
#pragma once

#include "vnet/frame.h"
#include "vnet/vnet.h"

enum { POOL_CLASSES = 3 };

struct pool {
    struct frame *frames; // all of them
    uint8_t *memory;      // what they point into
    struct frame *free[POOL_CLASSES];
};

void pool_init(struct pool *p, const struct vnet_limits *limits);
void pool_fini(struct pool *p);

// An empty frame with room for n bytes and one reference, from the smallest size that has one left;
// NULL where none has.
struct frame *pool_take(struct pool *p, size_t n);
// Gives up one reference; the last one frees the buffer.
void pool_release(struct pool *p, struct frame *f);
