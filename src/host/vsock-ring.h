// A split virtqueue in guest memory (virtio 1.2, 2.7), from the device's side. The guest may write
// anything there at any time: every number is read once, then checked. What cannot be right breaks
// the ring until the driver starts it anew.
#pragma once

#include <stdbool.h>
#include <sys/uio.h>

#include "host/vsock-memory.h"
#include "host/vsock-packet.h"

enum { RING_SIZE_MAX = 1024, RING_PARTS_MAX = VSOCK_PARTS_MAX };

struct ring {
    // As the engine tells them.
    uint16_t size; // a power of two
    uint64_t desc_user, avail_user, used_user;
    uint16_t next; // index of the next buffer that the guest makes available
    int call_fd;   // interrupts the guest; -1: it polls
    bool enabled;

    bool started;
    bool broken;
    bool given; // buffers, of which the guest was not told yet
    uint16_t used_next;
    // In guest memory.
    struct ring_desc *desc;
    uint16_t *avail;
    uint16_t *used;
};

// A buffer of the guest's, in pieces. The pieces are all to be read, or all to be written.
struct ring_buffer {
    uint16_t head;
    int count;
    size_t size; // of all
    struct iovec part[RING_PARTS_MAX];
};

// Finds the ring in `m`: before the first buffer, and whenever memory was mapped anew. False with
// *e where it is not in it.
bool ring_start(struct ring *r, const struct guest_memory *m, struct err *e);
void ring_stop(struct ring *r);

// The guest's next buffer, to be written where `writable`; false where there is none, or where the
// ring is broken.
bool ring_take(struct ring *r, const struct guest_memory *m, bool writable,
               struct ring_buffer *out);
void ring_untake(struct ring *r); // the last one, of which nothing was used
void ring_give(struct ring *r, const struct ring_buffer *b, size_t written);
void ring_call(struct ring *r); // tells the guest what was given back

// Whether the guest shall tell of buffers that it makes available. After `true`: look once more.
void ring_want_kicks(struct ring *r, bool want);
