// A ring of held frames.
#include "vnet/daemon/queue.h"

// The sizes of the lab's buffers (struct vnet_limits); the largest has no bound here.
static const size_t class_sizes[QUEUE_CLASSES - 1] = {256, 2048};

static unsigned class_of(const struct frame *f)
{
    unsigned c = 0;
    while (c < QUEUE_CLASSES - 1 && vnet_frame_size(f) > class_sizes[c])
        c++;
    return c;
}

void queue_share_init(struct queue_share *s, const struct vnet_limits *limits)
{
    const uint32_t buffers[QUEUE_CLASSES] = {limits->small_frames, limits->frames,
                                             limits->jumbo_frames};
    *s = (struct queue_share){0};
    for (unsigned c = 0; c < QUEUE_CLASSES; c++) {
        s->reserve[c] = buffers[c] / 4 / limits->plugs;
        s->shared[c] = buffers[c] / 2;
    }
}

static bool has_room(const struct queue *q, const struct queue_share *s, unsigned c)
{
    return q->held[c] < s->reserve[c] ||
           q->held[c] - s->reserve[c] < (s->shared[c] - s->used[c]) / 4;
}

bool queue_put(struct queue *q, struct queue_share *s, struct frame *f)
{
    unsigned c = class_of(f);
    if (q->count == QUEUE_MAX || !has_room(q, s, c))
        return false;
    vnet_hold(f);
    q->ring[(q->first + q->count++) % QUEUE_MAX] = f;
    if (q->held[c]++ >= s->reserve[c])
        s->used[c]++;
    return true;
}

unsigned queue_peek(const struct queue *q, struct frame **out, unsigned max)
{
    unsigned n = q->count < max ? q->count : max;
    for (unsigned i = 0; i < n; i++)
        out[i] = q->ring[(q->first + i) % QUEUE_MAX];
    return n;
}

void queue_drop(struct queue *q, struct queue_share *s, struct vnet *v, unsigned n)
{
    for (; n > 0; n--) {
        struct frame *f = q->ring[q->first];
        unsigned c = class_of(f);
        if (--q->held[c] >= s->reserve[c])
            s->used[c]--;
        q->first = (q->first + 1) % QUEUE_MAX;
        q->count--;
        vnet_release(v, f);
    }
}
