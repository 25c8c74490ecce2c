// What happens later: one heap of timers for the whole lab.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct vnet;

// Lies in the struct that it is for, and is all zero but for `ring` when it is not set.
struct timer {
    void (*ring)(struct vnet *v, struct timer *t);
    uint64_t due;    // ns
    uint64_t serial; // of two that are due at once the one that was set first comes first
    uint32_t place;  // in the heap, from 1; 0: not set
};

struct timers {
    struct timer **heap;
    uint32_t count;
    uint64_t serial;
};

void timers_init(struct timers *ts, uint32_t max);
void timers_fini(struct timers *ts);

// Sets it, or sets it anew.
void timers_set(struct timers *ts, struct timer *t, uint64_t due);
void timers_cancel(struct timers *ts, struct timer *t);

// The next one; NULL: none is set.
static inline struct timer *timers_first(const struct timers *ts)
{
    return ts->count > 0 ? ts->heap[1] : NULL;
}
