// Frames that wait until their client takes them.
//
// They keep buffers away from the lab. So a quarter of them is the lab's alone, a quarter is
// reserved in equal parts, one for each client there may be, and half is shared: of that one may
// take a quarter of what the others have left. However many stall, the next one is served.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vnet/vnet.h"

enum { QUEUE_CLASSES = 3, QUEUE_MAX = 1024 };

// By class of buffers.
struct queue_share {
    uint32_t reserve[QUEUE_CLASSES]; // of each queue
    uint32_t shared[QUEUE_CLASSES];
    uint32_t used[QUEUE_CLASSES]; // of what is shared
};
void queue_share_init(struct queue_share *s, const struct vnet_limits *limits);

struct queue {
    struct frame *ring[QUEUE_MAX];
    unsigned first, count;
    uint32_t held[QUEUE_CLASSES];
};

// Takes a hold of the frame. False: the queue has its share, or is full.
bool queue_put(struct queue *q, struct queue_share *s, struct frame *f);

// The first frames, at most `max`; they stay. Returns how many.
unsigned queue_peek(const struct queue *q, struct frame **out, unsigned max);

// Releases the first `n`, which are there.
void queue_drop(struct queue *q, struct queue_share *s, struct vnet *v, unsigned n);
