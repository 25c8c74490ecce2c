// A few packets at a time, each in a buffer for the largest frame, and each for a while. Fragments
// that overlap are an attack, and end their packet (RFC 5722, 4).
#include "vnet/ip/reassembly.h"

#include <stdlib.h>

#include "base/mem.h"

#define LIFE (30 * 1000000000ull) // ns; RFC 1122, 3.3.2 would take 60 to 120

enum {
    PACKETS = 8,
    HEADER_ROOM = REASSEMBLY_HEADER_MAX, // in a buffer, before the payload
    UNIT = 8,                            // bytes, of offsets
    PAYLOAD_MAX = VNET_FRAME_MAX - HEADER_ROOM,
    UNITS = PAYLOAD_MAX / UNIT + 1,
};

struct partial {
    TAILQ_ENTRY(partial) next; // by age
    struct fragment of;
    struct frame *buffer;
    uint64_t until;
    size_t received, total; // bytes of payload; total 0: not known yet
    bool has[UNITS];
};
TAILQ_HEAD(partials, partial);

struct reassembly {
    struct network *net;
    struct timer timer; // of the oldest
    struct partials used, unused;
    struct partial all[PACKETS];
};

static void ring(struct vnet *v, struct timer *t);

struct reassembly *reassembly_new(struct network *net)
{
    struct reassembly *r = xcalloc(1, sizeof *r);
    r->net = net;
    r->timer.ring = ring;
    TAILQ_INIT(&r->used);
    TAILQ_INIT(&r->unused);
    for (unsigned i = 0; i < PACKETS; i++)
        TAILQ_INSERT_TAIL(&r->unused, &r->all[i], next);
    return r;
}

void reassembly_free(struct reassembly *r)
{
    free(r);
}

static void set_timer(struct vnet *v, struct reassembly *r)
{
    const struct partial *oldest = TAILQ_FIRST(&r->used);
    if (oldest)
        timers_set(&v->timers, &r->timer, oldest->until);
    else
        timers_cancel(&v->timers, &r->timer);
}

// The buffer is the caller's now.
static struct frame *end(struct vnet *v, struct reassembly *r, struct partial *u)
{
    TAILQ_REMOVE(&r->used, u, next);
    TAILQ_INSERT_TAIL(&r->unused, u, next);
    set_timer(v, r);
    return u->buffer;
}

static void ring(struct vnet *v, struct timer *t)
{
    struct reassembly *r = CONTAINER_OF(t, struct reassembly, timer);
    struct partial *oldest;
    while ((oldest = TAILQ_FIRST(&r->used)) && oldest->until <= v->now) {
        r->net->counters.drops[VNET_DROP_FRAGMENT]++;
        pool_release(&v->pool, end(v, r, oldest));
    }
}

static bool is_same_packet(const struct fragment *a, const struct fragment *b)
{
    return a->id == b->id && a->protocol == b->protocol && ip6_equal(&a->from, &b->from) &&
           ip6_equal(&a->to, &b->to);
}

// The packet that a fragment belongs to, in place of the oldest where there are too many.
static struct partial *packet_of(struct packet *p, struct reassembly *r,
                                 const struct fragment *part)
{
    struct partial *u;
    TAILQ_FOREACH(u, &r->used, next) {
        if (is_same_packet(&u->of, part))
            return u;
    }
    struct frame *f = pool_take(&p->v->pool, VNET_FRAME_MAX);
    if (!f)
        return NULL;
    if (TAILQ_EMPTY(&r->unused)) {
        r->net->counters.drops[VNET_DROP_FRAGMENT]++;
        pool_release(&p->v->pool, end(p->v, r, TAILQ_FIRST(&r->used)));
    }
    u = TAILQ_FIRST(&r->unused);
    TAILQ_REMOVE(&r->unused, u, next);
    *u = (struct partial){.of = *part, .buffer = f, .until = p->v->now + LIFE};
    u->of.header = u->of.payload = (struct bytes){0};
    TAILQ_INSERT_TAIL(&r->used, u, next);
    set_timer(p->v, r);
    return u;
}

static bool is_sound(const struct fragment *part)
{
    return part->payload.n > 0 && part->at % UNIT == 0 && part->header.n <= HEADER_ROOM &&
           part->at + part->payload.n <= PAYLOAD_MAX &&
           (!part->more || part->payload.n % UNIT == 0);
}

// One that came twice.
static bool is_known(const struct partial *u, const struct fragment *part)
{
    size_t end = part->at + part->payload.n;
    for (size_t at = part->at; at < end; at += UNIT)
        if (!u->has[at / UNIT])
            return false;
    return (part->more ? end < u->total || !u->total : end == u->total) &&
           memcmp(u->buffer->data + HEADER_ROOM + part->at, part->payload.at, part->payload.n) == 0;
}

static bool fits(const struct partial *u, const struct fragment *part)
{
    size_t end = part->at + part->payload.n;
    for (size_t at = part->at; at < end; at += UNIT)
        if (u->has[at / UNIT])
            return false;
    if (part->more || u->total)
        return !u->total || (part->more && end < u->total);
    for (size_t unit = (end + UNIT - 1) / UNIT; unit < UNITS; unit++)
        if (u->has[unit])
            return false; // there was one beyond the last
    return true;
}

static void add(struct partial *u, const struct fragment *part)
{
    size_t end = part->at + part->payload.n;
    memcpy(u->buffer->data + HEADER_ROOM + part->at, part->payload.at, part->payload.n);
    for (size_t at = part->at; at < end; at += UNIT)
        u->has[at / UNIT] = true;
    u->received += part->payload.n;
    if (!part->more)
        u->total = end;
    if (part->at > 0)
        return;
    uint8_t *header = u->buffer->data + HEADER_ROOM - part->header.n;
    memcpy(header, part->header.at, part->header.n);
    u->of.header = (struct bytes){header, part->header.n};
}

struct frame *reassembly_add(struct packet *p, const struct fragment *part)
{
    struct reassembly *r = p->network->reassembly;
    struct partial *u = is_sound(part) ? packet_of(p, r, part) : NULL;
    if (u && is_known(u, part))
        return NULL;
    if (!u || !fits(u, part)) {
        drop(p, VNET_DROP_FRAGMENT);
        if (u)
            pool_release(&p->v->pool, end(p->v, r, u));
        return NULL;
    }
    add(u, part);
    if (u->received != u->total)
        return NULL;
    p->ip = (struct bytes){u->of.header.at, u->of.header.n + u->total};
    u->buffer->n = HEADER_ROOM + u->total;
    return end(p->v, r, u);
}
