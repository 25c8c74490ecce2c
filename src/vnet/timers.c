// A binary heap whose entries know their places, so that any of them can be taken out.
#include "vnet/timers.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

void timers_init(struct timers *ts, uint32_t max)
{
    *ts = (struct timers){.heap = xcalloc(max + 1, sizeof(struct timer *))};
}

void timers_fini(struct timers *ts)
{
    free(ts->heap);
}

static bool is_before(const struct timer *a, const struct timer *b)
{
    return a->due != b->due ? a->due < b->due : a->serial < b->serial;
}

static void put_at(struct timers *ts, uint32_t place, struct timer *t)
{
    ts->heap[place] = t;
    t->place = place;
}

// Moves what is above down until `t` fits at `place` or higher.
static void sift_up(struct timers *ts, uint32_t place, struct timer *t)
{
    for (; place > 1 && is_before(t, ts->heap[place / 2]); place /= 2)
        put_at(ts, place, ts->heap[place / 2]);
    put_at(ts, place, t);
}

static void sift_down(struct timers *ts, uint32_t place, struct timer *t)
{
    for (uint32_t child; (child = 2 * place) <= ts->count; place = child) {
        if (child < ts->count && is_before(ts->heap[child + 1], ts->heap[child]))
            child++;
        if (!is_before(ts->heap[child], t))
            break;
        put_at(ts, place, ts->heap[child]);
    }
    put_at(ts, place, t);
}

void timers_set(struct timers *ts, struct timer *t, uint64_t due)
{
    timers_cancel(ts, t);
    t->due = due;
    t->serial = ts->serial++;
    sift_up(ts, ++ts->count, t);
}

void timers_cancel(struct timers *ts, struct timer *t)
{
    if (t->place == 0)
        return;
    uint32_t place = t->place;
    struct timer *last = ts->heap[ts->count--];
    t->place = 0;
    if (last == t)
        return;
    if (place > 1 && is_before(last, ts->heap[place / 2]))
        sift_up(ts, place, last);
    else
        sift_down(ts, place, last);
}
