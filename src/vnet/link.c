// A FIFO of frames with the times at which they come out, and the timer of the first of them.
#include "vnet/link.h"

#include <stdlib.h>

#include "base/mem.h"
#include "vnet/lab.h"

void deliveries_init(struct deliveries *d, uint32_t max)
{
    *d = (struct deliveries){.all = xcalloc(max, sizeof *d->all)};
    for (uint32_t i = 0; i < max; i++) {
        d->all[i].next = d->free;
        d->free = &d->all[i];
    }
}

void deliveries_fini(struct deliveries *d)
{
    free(d->all);
}

static struct frame *take_first(struct vnet *v, struct link *l)
{
    struct delivery *d = l->first;
    struct frame *f = d->frame;
    l->first = d->next;
    l->waiting--;
    d->next = v->deliveries.free;
    v->deliveries.free = d;
    return f;
}

// Whether the link's next frame comes out before anything else happens in the lab.
static bool is_next(const struct vnet *v, const struct link *l)
{
    const struct timer *other = timers_first(&v->timers);
    return l->first && l->first->due <= v->until && (!other || l->first->due <= other->due);
}

// With a batch of frames on a link the heap is touched once.
static void ring(struct vnet *v, struct timer *t)
{
    struct link *l = CONTAINER_OF(t, struct link, timer);
    do {
        if (l->first->due > v->now)
            v->now = l->first->due;
        struct frame *f = take_first(v, l);
        l->out(v, l, f);
        pool_release(&v->pool, f);
    } while (t->place == 0 && is_next(v, l));
    if (l->first && t->place == 0)
        timers_set(&v->timers, t, l->first->due);
}

void link_init(struct link *l, const struct vnet_link *is,
               void (*out)(struct vnet *v, struct link *l, struct frame *f))
{
    *l = (struct link){.timer = {.ring = ring}, .is = *is, .out = out};
}

bool link_is_open(const struct link *l)
{
    return !l->first && l->is.delay == 0 && !l->is.down;
}

int link_send(struct vnet *v, struct link *l, struct frame *f)
{
    struct delivery *d = v->deliveries.free;
    if (l->is.down)
        return VNET_DROP_LINK_DOWN;
    if (!d || (l->is.queue > 0 && l->waiting >= l->is.queue))
        return VNET_DROP_QUEUE_FULL;
    v->deliveries.free = d->next;
    *d = (struct delivery){.frame = f, .due = v->now + l->is.delay};
    f->refs++;
    l->waiting++;
    if (l->first) {
        if (d->due < l->last->due)
            d->due = l->last->due; // the delay became shorter: the order stays
        l->last->next = d;
    } else {
        l->first = d;
        timers_set(&v->timers, &l->timer, d->due);
    }
    l->last = d;
    return -1;
}

void link_clear(struct vnet *v, struct link *l)
{
    while (l->first)
        pool_release(&v->pool, take_first(v, l));
    timers_cancel(&v->timers, &l->timer);
}
