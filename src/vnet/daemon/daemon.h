// The inside of the daemon: one lab, its clients, one loop in one thread.
//
// A turn: libevent calls who has something to read, each passes on at most PORT_BATCH frames, all
// together about TURN_FRAMES, so that they find buffers, and find them in the processor's cache;
// then the lab does what is due, its frames for the clients are sent in batches, and the timer is
// set.
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/os.h"
#include "proto/server.h"
#include "vnet/daemon/lateness.h"
#include "vnet/daemon/port.h"
#include "vnet/daemon/refusals.h"
#include "vnet/daemon/run.h"
#include "vnet/labfile/labfile.h"
#include "vnet/vnet.h"

struct capture;
struct datagram;
struct egress;
struct inlets;
struct lease_file;
struct stream;

enum { TURN_FRAMES = 256 };

// Where frames are read to; one byte more than a frame shows one that is too long.
struct batch {
    struct os_datagram at[PORT_BATCH];
    uint8_t data[PORT_BATCH][VNET_FRAME_MAX + 1];
};

struct daemon {
    const struct daemon_options *options;
    struct event_base *base;
    struct event *signals[3];
    struct labfile *lab;
    struct vnet_limits limits;
    struct vnet *v;
    uint64_t started; // ns of the loop's clock
    int lock;         // of the path
    bool ending;

    struct port **ports; // by plug
    unsigned port_count;
    TAILQ_HEAD(, port) to_flush;
    bool any_doomed;
    struct queue_share share;
    struct batch *batch;
    unsigned taken;   // frames in this turn
    unsigned closing; // devices, by threads
    struct refusals refusals;
    struct event *sweep;

    struct event *timer;
    uint64_t armed; // when the timer is to fire; VNET_NEVER
    bool timer_fired;
    struct lateness lateness;

    int ready; // of detach_begin(); -1
    struct datagram *datagram;
    struct stream *stream; // NULL: none
    struct lease_file *leases;
    struct server *control;
    uint64_t private_count;
    struct capture *capture; // NULL: none
    struct egress *egress;   // NULL: none
    struct inlets *inlets;
    uint64_t wall;         // what to add to the loop's clock to get ns since 1970
    uint64_t noise_second; // of the events that clients can cause at will
    unsigned noise;
};

// An event for who listens at the control socket (taken).
void daemon_event(struct daemon *d, json_t *event);
// The same for what a client can cause with every frame: few a second are told.
bool daemon_may_tell(struct daemon *d);

// Counts and tells of a client that did not get in; `mac` may be NULL.
void daemon_refuse(struct daemon *d, enum refusal why, const char *peer, const struct mac *mac);

// A port was opened; its frames come next.
void daemon_plugged(struct daemon *d, const struct port *p);

// Prepares d->batch for `n` reads.
struct os_datagram *daemon_batch(struct daemon *d);
