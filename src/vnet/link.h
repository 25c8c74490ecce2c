// A link: one direction of a plug or of a router's uplink. Frames go in, and come out later in the
// order in which they went in.
#pragma once

#include "vnet/frame.h"
#include "vnet/timers.h"
#include "vnet/vnet.h"

struct delivery;

struct link {
    struct timer timer; // of the first frame in it
    struct vnet_link is;
    struct delivery *first, *last;
    uint32_t waiting;
    // The other end. It does not take the reference.
    void (*out)(struct vnet *v, struct link *l, struct frame *f);
};

// (frame, link) pairs on their way, reserved once.
struct delivery {
    struct delivery *next;
    struct frame *frame;
    uint64_t due;
};
struct deliveries {
    struct delivery *all, *free;
};
void deliveries_init(struct deliveries *d, uint32_t max);
void deliveries_fini(struct deliveries *d);

void link_init(struct link *l, const struct vnet_link *is,
               void (*out)(struct vnet *v, struct link *l, struct frame *f));

// Queues a frame and takes a reference of its own. Returns the reason for which it does not, or -1.
int link_send(struct vnet *v, struct link *l, struct frame *f);

// Whether a frame that went in now would come out at once, before any other.
bool link_is_open(const struct link *l);

// Forgets what is on its way.
void link_clear(struct vnet *v, struct link *l);
