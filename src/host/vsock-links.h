// The connections between the guest and programs of the host: virtio-vsock's streams (virtio 1.2,
// 5.10.6) on one side, a unix stream socket each on the other.
//
// Nothing is queued for the guest but what a connection has to say next: data stay in the program's
// socket until the guest has a buffer for them. What the guest sends and a program does not read is
// kept up to VSOCK_WINDOW bytes a connection, which is the credit that the guest has.
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "host/vsock-packet.h"

enum { VSOCK_WINDOW = 128 << 10, VSOCK_LINKS_MAX = 2048 };

struct links;

struct links_hooks {
    // A stream socket (non-blocking, taken) to who serves this port; -1 with errno: EAGAIN is
    // asked again for a while.
    int (*dial)(void *arg, uint32_t port);
    void (*pump)(void *arg); // there is something to give
    void *arg;
};

struct links *links_new(struct event_base *base, uint32_t guest_cid,
                        const struct links_hooks *hooks);
void links_free(struct links *ls);
// The guest has forgotten its connections: they end, once the programs have what it sent. Those of
// which it never heard stay.
void links_reset(struct links *ls);

// A packet from the guest, its `len` of data in the parts. Not while links_busy(): its answer would
// find no place.
void links_take(struct links *ls, const struct vsock_header *h, const struct iovec *data, int n);
bool links_busy(const struct links *ls);

// Fills a buffer of the guest's, header first, with what comes next; its size, 0 where nothing
// does or fits.
size_t links_give(struct links *ls, const struct iovec *parts, int n);

// Connects a program's socket (taken) to a port of the guest: the host's port, or 0 where there are
// too many. `greet` writes "OK <host's port>" first, and gives up after 5 s; else the connection
// may take for ever, and the socket sees its end.
uint32_t links_connect(struct links *ls, int fd, uint32_t port, bool greet);

int links_count(const struct links *ls);
bool links_open(const struct links *ls, uint32_t host_port); // the guest has accepted
