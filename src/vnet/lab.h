// The inside of a lab, for the core's own files: networks, plugs, frames on their way.
#pragma once

#include <sys/queue.h>

#include "vnet/leases.h"
#include "vnet/owners.h"
#include "vnet/pool.h"
#include "vnet/vnet.h"

struct network {
    char *name, *domain; // what `is` points to
    struct vnet_network is;
    struct mac router_mac;
    struct leases leases;
    TAILQ_HEAD(, plug) plugs;
};

struct plug {
    struct network *network; // NULL: this number is free
    TAILQ_ENTRY(plug) same_network;
    struct vnet_counters counters;
};

struct delivery {
    uint64_t due;
    struct plug *plug; // NULL: was removed meanwhile
    struct frame *frame;
};

struct vnet {
    struct vnet_limits limits;
    uint64_t now;
    vnet_output *output;
    void *arg;
    struct network *networks;
    unsigned network_count;
    struct plug *plugs;
    struct owners owners;
    struct pool pool;
    // A ring in the order of their times, which is that of their coming: nothing is delayed yet.
    struct delivery *deliveries;
    uint32_t first, waiting;
};

// A frame that came in, and what was found out about it on its way up the protocols.
struct packet {
    struct vnet *v;
    struct network *network;
    struct plug *plug;
    struct mac to_mac, from_mac;
    uint32_t to, from; // IPv4
};

static inline void drop(const struct packet *p, enum vnet_drop why)
{
    p->plug->counters.drops[why]++;
}

// Queues a frame for a plug; takes a reference of its own.
void lab_deliver(struct vnet *v, struct plug *to, struct frame *f);
