// The guest's vsock: its device, and what the host's programs see of it (docs/interfaces.md).
//
// A program that connects to `path` says "CONNECT <port>" and is connected to that port of the
// guest. A guest that connects to port P of CID 2 reaches who listens at `path`_P, or Host itself.
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

enum {
    VSOCK_ADDRESS_PORT = 51011, // of CID 2: Host tells the guest its address there
    VSOCK_USUAL_CID = 3,        // the same for every guest: each has a device of its own
};

struct vsock;

struct vsock_options {
    const char *path;    // of the socket for programs
    uint32_t cid;        // the guest's
    uint32_t port;       // of the guest: Host connects to it and keeps the connection open
    const char *address; // the line that is read from VSOCK_ADDRESS_PORT
};

struct vsock *vsock_new(struct event_base *base, const struct vsock_options *options,
                        struct err *e);
void vsock_free(struct vsock *v);

// A device for the engine to plug in: its end of the socket pair, the caller's. What was plugged
// before is gone, and its connections have ended. -1 with *e.
int vsock_renew(struct vsock *v, struct err *e);
// The guest reboots: it has no connections any more.
void vsock_reset(struct vsock *v);

// {"path","cid","port","connected","connections"}
json_t *vsock_status(const struct vsock *v);
