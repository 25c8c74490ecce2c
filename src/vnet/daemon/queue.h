// Frames that wait until their client takes them.
//
// They keep buffers away from the lab, so all queues share what may be kept: one may hold half of
// what the others leave. However many clients stall, something is left for the next one.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vnet/vnet.h"

enum { QUEUE_CLASSES = 3, QUEUE_MAX = 1024 };

// By class of buffers: how many may be held in all, how many are.
struct queue_share {
    uint32_t limit[QUEUE_CLASSES];
    uint32_t held[QUEUE_CLASSES];
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
