// A client: a descriptor through which its frames go, and its plug in the lab.
//
// The kinds (datagram, stream, tap, …) differ in how frames are read, sent, and how it shows that
// somebody is still there. All the rest is here: the queue of a client that is slow, errors, ends.
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/err.h"
#include "vnet/daemon/place.h"
#include "vnet/daemon/queue.h"
#include "vnet/vnet.h"

struct daemon;
struct port;

enum { PORT_BATCH = 32 }; // frames of one client in one turn of the loop

// Whether somebody is there. UNSEEN: nothing tells, it may have just removed its socket's name.
enum presence { PRESENT, UNSEEN, ABSENT };

struct port_ops {
    const char *kind;
    // Sends the first of `n` frames, without waiting. Returns how many are done with, at least one;
    // -1 with errno.
    int (*send)(struct port *p, struct frame *const *frames, unsigned n);
    // After an error of send(): whether the same client can be reached in another way, from now
    // on. NULL: never.
    bool (*revive)(struct port *p);
    enum presence (*look)(const struct port *p);
    // Reads at most PORT_BATCH frames and passes them to port_input(); may end in port_gone().
    void (*read)(struct port *p);
    void (*hang_up)(struct port *p); // closes its descriptor; NULL: nothing about it takes long
    void (*free)(struct port *p);    // what the kind adds, and the port itself
};

struct port {
    const struct port_ops *ops;
    struct daemon *d;
    int fd;
    unsigned plug;
    struct place place;
    char *peer;     // path or device
    uint64_t since; // ns of the loop's clock
    uint64_t owner; // the control connection it ends with; 0: none
    uint64_t seen;  // when look() last said PRESENT
    struct queue queue;
    uint64_t slow;      // frames dropped because the queue was full
    uint64_t unsent;    // frames that its socket refused
    const char *doomed; // why it is to go at the end of this turn
    bool waits;         // for `writable` or `retry`
    unsigned retries;
    struct event *readable, *writable, *retry;
    TAILQ_ENTRY(port) to_flush;
    bool flushes; // is among those
};

// Plugs `p`, which its kind has allocated, into the lab. The descriptor is the port's, then. On
// failure, -1 with *e, everything is still the caller's.
int port_open(struct daemon *d, struct port *p, const struct port_ops *ops, int fd,
              const struct place *place, const char *peer, struct err *e);
// Another descriptor for the same client; the old one is closed.
void port_move(struct port *p, int fd);
// Reads from now on, or not.
void port_listen(struct port *p, bool on);

// Keeps its frames back, from now on; port_go_on() ends that.
void port_hold(struct port *p);
void port_go_on(struct port *p);

// A frame from the client.
void port_input(struct port *p, const uint8_t *frame, size_t n);
// A frame for the client, from the lab.
void port_output(struct port *p, struct frame *f);
// Sends what is queued, as far as the client takes it. May end in port_gone().
void port_flush(struct port *p);
// Ends it and frees it.
void port_gone(struct port *p, const char *why);
