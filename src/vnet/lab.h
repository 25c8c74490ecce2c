// The inside of a lab, for the core's own files: networks, plugs, frames on their way.
#pragma once

#include <stddef.h>
#include <sys/queue.h>

#include "vnet/ip/bucket.h"
#include "vnet/ip/ra.h"
#include "vnet/link.h"
#include "vnet/pool.h"
#include "vnet/random.h"
#include "vnet/services/leases.h"
#include "vnet/services/names.h"
#include "vnet/switch/owners.h"
#include "vnet/timers.h"
#include "vnet/vnet.h"

#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

struct network {
    char *name, *domain; // what `is` points to
    struct vnet_network is;
    struct name zone; // `domain`, or the root
    enum vnet_dns_fault dns_fault;
    struct mac router_mac;
    struct random random; // its router's
    struct leases leases;
    struct link uplink[2]; // VNET_UP: into the internet
    struct neighbours *neighbours;
    struct ra ra;
    struct nat *nat; // NULL: none
    struct reassembly *reassembly;
    struct bucket errors; // ICMP's and ICMPv6's, see ERROR_INTERVAL
    struct vnet_counters counters;
    TAILQ_HEAD(, plug) plugs;
};

// How often a router, and a host of the internet, tells senders of what went wrong.
#define ERROR_INTERVAL (1000000000u / 100)
enum { ERROR_BURST = 64 };

struct plug {
    struct network *network; // NULL: this number is free
    char *name;
    TAILQ_ENTRY(plug) same_network;
    struct link link[2]; // by direction
    struct vnet_counters counters;
};

struct vnet {
    struct vnet_limits limits;
    uint64_t seed;
    uint64_t now;
    uint64_t until; // what vnet_advance() was called with
    struct vnet_owner owner;
    struct network *networks;
    unsigned network_count;
    struct plug *plugs;
    struct owners owners;
    struct pool pool;
    struct deliveries deliveries;
    struct timers timers;
    struct names names;
    struct host *hosts; // of the internet
    unsigned host_count;
    struct way_out *way_out; // NULL: none
};

// A frame that came in, and what was found out about it on its way up the protocols.
struct packet {
    struct vnet *v;
    struct network *network; // whose switch or router has it
    struct plug *plug;       // it came from; NULL: from the router's uplink
    struct host *host;       // of the internet that has it; NULL: the router
    struct frame *buffer;    // that holds it; NULL: it is the caller's
    struct mac to_mac, from_mac;
    uint32_t to, from; // IPv4
    struct ip6 to6, from6;
    uint16_t from_port; // of UDP, at a service
    struct bytes ip;    // the whole packet, for an error about it
    bool fragment;      // it came in fragments, or says so (IPv6's fragment header)
    int dropped;        // the first reason, or -1
};

static inline void drop(struct packet *p, enum vnet_drop why)
{
    struct vnet_counters *counters = p->plug ? &p->plug->counters : &p->network->counters;
    counters->drops[why]++;
    if (p->dropped < 0)
        p->dropped = (int)why;
}

static inline unsigned plug_number(const struct vnet *v, const struct plug *plug)
{
    return (unsigned)(plug - v->plugs);
}

// Queues a frame for a plug; takes a reference of its own.
void lab_deliver(struct vnet *v, struct plug *to, struct frame *f);
