// Split virtqueue.
#include "host/vsock-ring.h"

#include <stdatomic.h>
#include <unistd.h>

struct ring_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };

// Both rings begin with flags and index; `avail` goes on with 16-bit heads, `used` with pairs of
// 32-bit numbers.
enum { FLAGS, INDEX, ENTRIES };

static uint16_t load(const uint16_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store(uint16_t *at, uint16_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static bool is_aligned(const void *at, uintptr_t to)
{
    return at && ((uintptr_t)at & (to - 1)) == 0;
}

bool ring_start(struct ring *r, const struct guest_memory *m, struct err *e)
{
    size_t size = r->size;
    r->started = r->broken = false;
    if (size == 0 || size > RING_SIZE_MAX || (size & (size - 1))) {
        err_set(e, ERR_FAILED, "a ring of %zu buffers", size);
        return false;
    }
    r->desc = guest_memory_user(m, r->desc_user, size * sizeof *r->desc);
    r->avail = guest_memory_user(m, r->avail_user, 4 + 2 * size);
    r->used = guest_memory_user(m, r->used_user, 4 + 8 * size);
    if (!is_aligned(r->desc, 8) || !is_aligned(r->avail, 2) || !is_aligned(r->used, 4)) {
        err_set(e, ERR_FAILED, "a ring is outside of guest memory");
        return false;
    }
    r->used_next = load(&r->used[INDEX]);
    r->started = true;
    return true;
}

void ring_stop(struct ring *r)
{
    r->started = r->given = false;
    r->desc = NULL;
    r->avail = r->used = NULL;
}

// A descriptor's bytes, which may lie in regions one after the other.
static bool add_parts(const struct guest_memory *m, struct ring_desc d, struct ring_buffer *out)
{
    while (d.len > 0) {
        size_t n = d.len;
        uint8_t *at = guest_memory_at(m, d.addr, &n);
        if (!at || out->count == RING_PARTS_MAX)
            return false;
        out->part[out->count++] = (struct iovec){.iov_base = at, .iov_len = n};
        out->size += n;
        d.addr += n;
        d.len -= (uint32_t)n;
    }
    return true;
}

// The chain that begins at `head`; at most as many descriptors as the ring has, so a circle ends.
static bool read_chain(const struct ring *r, const struct guest_memory *m, bool writable,
                       struct ring_buffer *out)
{
    uint16_t i = out->head;
    for (int left = r->size; left > 0 && i < r->size; left--) {
        const volatile struct ring_desc *shared = &r->desc[i];
        struct ring_desc d = {shared->addr, shared->len, shared->flags, shared->next};
        if ((d.flags & DESC_INDIRECT) || !(d.flags & DESC_WRITE) == writable ||
            !add_parts(m, d, out))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        i = d.next;
    }
    return false;
}

bool ring_take(struct ring *r, const struct guest_memory *m, bool writable, struct ring_buffer *out)
{
    if (!r->started || !r->enabled || r->broken)
        return false;
    uint16_t waiting = (uint16_t)(load(&r->avail[INDEX]) - r->next);
    if (waiting == 0)
        return false;
    *out = (struct ring_buffer){.head = load(&r->avail[ENTRIES + (r->next & (r->size - 1))])};
    r->broken = waiting > r->size || !read_chain(r, m, writable, out);
    if (!r->broken)
        r->next++;
    return !r->broken;
}

void ring_untake(struct ring *r)
{
    r->next--;
}

void ring_give(struct ring *r, const struct ring_buffer *b, size_t written)
{
    volatile uint32_t *entry =
        (uint32_t *)(void *)(r->used + ENTRIES) + 2 * (r->used_next & (r->size - 1));
    entry[0] = b->head;
    entry[1] = (uint32_t)written;
    store(&r->used[INDEX], ++r->used_next);
    r->given = true;
}

void ring_call(struct ring *r)
{
    const uint64_t one = 1;
    if (!r->given || !r->started)
        return;
    r->given = false;
    atomic_thread_fence(memory_order_seq_cst); // the index before the flag
    if (r->call_fd >= 0 && !(load(&r->avail[FLAGS]) & AVAIL_NO_INTERRUPT) &&
        write(r->call_fd, &one, sizeof one) < 0)
        return; // its counter is full: the guest has been told, many times
}

void ring_want_kicks(struct ring *r, bool want)
{
    if (!r->started)
        return;
    store(&r->used[FLAGS], want ? 0 : USED_NO_NOTIFY);
    atomic_thread_fence(memory_order_seq_cst); // the flag before the look that follows
}
