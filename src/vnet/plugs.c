// Plugs come and go, frames go in and out, time passes.
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "vnet/ip/neighbour.h"
#include "vnet/lab.h"
#include "vnet/switch/ethernet.h"

static void trace(struct vnet *v, const struct plug *plug, enum vnet_direction direction, int drop,
                  struct bytes frame)
{
    if (v->owner.trace)
        v->owner.trace(v->owner.arg, v->now, plug_number(v, plug), direction, drop, frame.at,
                       frame.n);
}

// A frame has come out of the guest's link: the switch gets it.
static void from_guest(struct vnet *v, struct plug *plug, struct frame *buffer, struct bytes frame)
{
    struct packet p = {
        .v = v, .network = plug->network, .plug = plug, .buffer = buffer, .dropped = -1};
    ethernet_input(&p, frame);
    trace(v, plug, VNET_UP, p.dropped, frame);
}

static void up_out(struct vnet *v, struct link *l, struct frame *f)
{
    from_guest(v, CONTAINER_OF(l, struct plug, link[VNET_UP]), f, written(f, 0));
}

static void down_out(struct vnet *v, struct link *l, struct frame *f)
{
    struct plug *plug = CONTAINER_OF(l, struct plug, link[VNET_DOWN]);
    plug->counters.frames_out++;
    plug->counters.bytes_out += f->n;
    trace(v, plug, VNET_DOWN, -1, written(f, 0));
    v->owner.output(v->owner.arg, plug_number(v, plug), f);
}

void lab_deliver(struct vnet *v, struct plug *to, struct frame *f)
{
    int dropped = link_send(v, &to->link[VNET_DOWN], f);
    if (dropped < 0)
        return;
    to->counters.drops[dropped]++;
    trace(v, to, VNET_DOWN, dropped, written(f, 0));
}

int vnet_add_plug(struct vnet *v, const struct vnet_plug *is, struct err *e)
{
    if (is->network >= v->network_count)
        return err_set(e, ERR_USAGE, "there is no network %u", is->network);
    if (id_check(is->name, e) < 0)
        return -1;
    for (unsigned i = 0; i < v->limits.plugs; i++) {
        struct plug *plug = &v->plugs[i];
        if (plug->network)
            continue;
        *plug = (struct plug){.network = &v->networks[is->network], .name = xstrdup(is->name)};
        link_init(&plug->link[VNET_UP], &is->link[VNET_UP], up_out);
        link_init(&plug->link[VNET_DOWN], &is->link[VNET_DOWN], down_out);
        if (TAILQ_EMPTY(&plug->network->plugs))
            ra_start(v, plug->network);
        TAILQ_INSERT_TAIL(&plug->network->plugs, plug, same_network);
        return (int)i;
    }
    return err_set(e, ERR_USAGE, "there are %u plugs already", v->limits.plugs);
}

static struct plug *plug_of(const struct vnet *v, unsigned number)
{
    assert(number < v->limits.plugs && v->plugs[number].network);
    return &v->plugs[number];
}

void vnet_remove_plug(struct vnet *v, unsigned number)
{
    struct plug *plug = plug_of(v, number);
    link_clear(v, &plug->link[VNET_UP]);
    link_clear(v, &plug->link[VNET_DOWN]);
    owners_forget(&v->owners, number);
    leases_forget_plug(&plug->network->leases, number);
    neighbours_forget(v, plug);
    TAILQ_REMOVE(&plug->network->plugs, plug, same_network);
    if (TAILQ_EMPTY(&plug->network->plugs))
        ra_stop(v, plug->network);
    free(plug->name);
    *plug = (struct plug){0};
}

void vnet_set_link(struct vnet *v, unsigned plug, enum vnet_direction direction,
                   const struct vnet_link *link)
{
    plug_of(v, plug)->link[direction].is = *link;
}

const struct vnet_link *vnet_link(const struct vnet *v, unsigned plug,
                                  enum vnet_direction direction)
{
    return &plug_of(v, plug)->link[direction].is;
}

const struct vnet_counters *vnet_counters(const struct vnet *v, unsigned plug)
{
    return &plug_of(v, plug)->counters;
}

unsigned vnet_macs(const struct vnet *v, unsigned plug, struct mac *out, unsigned max)
{
    const struct owners *o = &v->owners;
    unsigned used = o->used[plug];
    for (unsigned i = 0; i < used && i < max; i++)
        out[i] = owners_mac(&o->all[(size_t)plug * o->per_plug + i]);
    return used;
}

static void refuse(struct vnet *v, struct plug *plug, enum vnet_drop why, struct bytes frame)
{
    plug->counters.drops[why]++;
    trace(v, plug, VNET_UP, (int)why, frame);
}

// Into a link that holds it for a while.
static void delay(struct vnet *v, struct plug *plug, struct bytes frame)
{
    struct frame *f = frame.n <= VNET_FRAME_MAX ? pool_take(&v->pool, frame.n) : NULL;
    if (!f) {
        refuse(v, plug, frame.n <= VNET_FRAME_MAX ? VNET_DROP_NO_BUFFER : VNET_DROP_LONG_FRAME,
               frame);
        return;
    }
    put(f, frame.at, frame.n);
    int dropped = link_send(v, &plug->link[VNET_UP], f);
    if (dropped >= 0)
        refuse(v, plug, (enum vnet_drop)dropped, frame);
    pool_release(&v->pool, f);
}

void vnet_input(struct vnet *v, uint64_t now, unsigned number, const uint8_t *data, size_t n)
{
    struct plug *plug = plug_of(v, number);
    struct bytes frame = {data, n};
    if (now > v->now)
        v->now = now;
    plug->counters.frames_in++;
    plug->counters.bytes_in += n;
    if (link_is_open(&plug->link[VNET_UP]))
        from_guest(v, plug, NULL, frame);
    else
        delay(v, plug, frame);
}

uint64_t vnet_next(const struct vnet *v)
{
    const struct timer *first = timers_first(&v->timers);
    return first ? first->due : VNET_NEVER;
}

void vnet_advance(struct vnet *v, uint64_t now)
{
    struct timer *t;
    v->until = now > v->now ? now : v->now;
    while ((t = timers_first(&v->timers)) && t->due <= v->until) {
        timers_cancel(&v->timers, t);
        if (t->due > v->now)
            v->now = t->due;
        t->ring(v, t);
    }
    v->now = v->until;
}

const uint8_t *vnet_frame_data(const struct frame *f)
{
    return f->data;
}

size_t vnet_frame_size(const struct frame *f)
{
    return f->n;
}

void vnet_hold(struct frame *f)
{
    f->refs++;
}

void vnet_release(struct vnet *v, struct frame *f)
{
    pool_release(&v->pool, f);
}
