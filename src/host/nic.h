// The socket NIC's link: a unix datagram socket that the engine reads and writes and Host connects.
//
// Engine and Host share one open file description: Host's connect() moves the NIC's frames to
// another server at once. Without a server the guest sees its cable pulled; a server that appears,
// or comes back, is picked up. Where the server is our vnet, the engine gets a stream to a plug in
// it instead: QEMU reads one datagram in a pass of its main loop, but many frames of a stream.
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/parse.h"
#include "vm/store.h"

struct nic;

struct nic_hooks {
    void (*link)(void *arg, bool up); // tell the guest
    void (*socket)(void *arg);        // let the engine use another one: nic_fd()
    void *arg;
    int look_ms; // between looks at the server and at what waits unread; below 1000
};
enum { NIC_LOOK_MS = 200 }; // a good value

// Makes the socket at /tmp/qemu-dgram-<id>.sock; where a live socket of another VM has that name,
// in the run-time directory.
// `mac` is the one that frames will have once the NIC is not held. `fd` (taken): a socket without a
// name that the engine has already; -1: there is none.
struct nic *nic_new(struct event_base *base, const struct store *s, const char *id, struct mac mac,
                    int fd, const struct nic_hooks *hooks, struct err *e);
void nic_free(struct nic *n);

int nic_fd(const struct nic *n);  // which the engine is to use
bool nic_up(const struct nic *n); // whether the guest shall see its cable in

// What came of it, as nic_status() says (taken).
typedef void nic_settled(void *arg, json_t *status);

// The server to connect to, now or when it appears; NULL: none (cable pulled). `settled` (may be
// NULL) is called once, at once or when a vnet has answered, within a second; or never, when the
// NIC is freed before.
void nic_attach(struct nic *n, const char *server, nic_settled *settled, void *arg);

// While held the NIC stays unconnected whatever the server: its MAC is not yet the right one. Its
// cable is in all the same: with the cable out QEMU keeps what the guest sends in the ring, and
// those frames, under the old MAC, would be the first on the network.
void nic_hold(struct nic *n, bool held);

// For one that is held: the MAC that frames will have.
void nic_set_mac(struct nic *n, struct mac mac);

// {"path","server","connected","kind","plug","note","sndbuf","reconnects"}, as docs/interfaces.md
// has them.
json_t *nic_status(const struct nic *n);
