// Buffers of three sizes on free lists. Most frames are either tiny (ACKs, ARP) or of the usual
// MTU.
#include "vnet/pool.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

static const size_t sizes[] = {256, 2048, VNET_FRAME_MAX};
static_assert(sizeof sizes / sizeof *sizes == POOL_CLASSES, "a size for each class");

void pool_init(struct pool *p, const struct vnet_limits *limits)
{
    const size_t counts[POOL_CLASSES] = {limits->small_frames, limits->frames,
                                         limits->jumbo_frames};
    size_t count = 0;
    size_t bytes = 0;
    for (unsigned c = 0; c < POOL_CLASSES; c++) {
        count += counts[c];
        bytes += counts[c] * sizes[c];
    }
    p->frames = xcalloc(count, sizeof *p->frames);
    p->memory = xcalloc(bytes, 1);
    struct frame *f = p->frames;
    uint8_t *at = p->memory;
    for (unsigned c = 0; c < POOL_CLASSES; c++) {
        for (size_t i = 0; i < counts[c]; i++, f++, at += sizes[c]) {
            *f = (struct frame){
                .next_free = p->free[c], .data = at, .size = sizes[c], .class = (uint8_t)c};
            p->free[c] = f;
        }
    }
}

void pool_fini(struct pool *p)
{
    free(p->frames);
    free(p->memory);
}

struct frame *pool_take(struct pool *p, size_t n)
{
    for (unsigned c = 0; c < POOL_CLASSES; c++) {
        struct frame *f = p->free[c];
        if (sizes[c] < n || !f)
            continue;
        p->free[c] = f->next_free;
        f->refs = 1;
        f->n = 0;
        f->full = false;
        return f;
    }
    return NULL;
}

void pool_release(struct pool *p, struct frame *f)
{
    if (--f->refs > 0)
        return;
    f->next_free = p->free[f->class];
    p->free[f->class] = f;
}
