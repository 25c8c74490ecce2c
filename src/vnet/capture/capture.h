// What passes the plugs, written to a pcapng file by a process of its own: the daemon's side.
//
// The process is fed through a socket pair (rule 5 of docs/architecture.md: the loop has nothing
// but sockets), so that the file is whole whatever becomes of the daemon, and a slow disk holds up
// no frame. What the process does not take in time is lost, and counted.
//
//     struct capture *c = capture_start(base, exe, "lab.pcapng", &hooks, &e);
//     capture_interface(c, plug, "home/a");                     // whenever a plug appears
//     capture_packet(c, wall, plug, VNET_UP, -1, frame, n);     // from the lab's trace
//     capture_flush(c);                                         // at the end of each turn
//     capture_stop(c, &e);
//
// The daemon ignores SIGPIPE.
#pragma once

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "vnet/vnet.h"

struct capture;

struct capture_hooks {
    // The process has ended and says why, or died; nothing is captured from here on, the lab goes
    // on. Called from the loop; the owner still calls capture_stop().
    void (*failed)(void *arg, const struct err *why);
    void *arg;
};

struct capture_stats {
    const char *path;
    uint64_t packets, bytes; // handed over
    uint64_t lost;           // not taken in time, or after the failure
    const char *error;       // NULL: none
};

// Starts `exe` as `vnet capture PATH` and waits until it has opened the file, which is created, or
// gets one more section where it is a pcapng file. ERR_BUSY where another process captures to it,
// ERR_USAGE where it is something else, ERR_HOST_CANNOT where there is no such `exe`. Blocks as
// long as reading an existing file's block headers takes.
struct capture *capture_start(struct event_base *base, const char *exe, const char *path,
                              const struct capture_hooks *hooks, struct err *e);

// A plug, or another plug under a number that was in use, called "network/name".
void capture_interface(struct capture *c, unsigned plug, const char *name);

// A frame at a plug that was told of, at `wall` ns since 1970; `drop` is an enum vnet_drop or -1.
// Of a frame longer than VNET_FRAME_MAX the beginning is kept, and its length.
void capture_packet(struct capture *c, uint64_t wall, unsigned plug, enum vnet_direction direction,
                    int drop, const uint8_t *frame, size_t n);

// Hands over what was collected, without waiting.
void capture_flush(struct capture *c);

// Pointers in it are good until capture_stop().
void capture_get_stats(const struct capture *c, struct capture_stats *out);

// Hands over the rest, waits until the file is whole, frees `c`. -1 with *e where the file lacks
// something: the capture had failed (hooks.failed has told why), or a stuck disk took too long.
int capture_stop(struct capture *c, struct err *e);

// The process: `vnet capture PATH` with records (capture/record.h) at the socket `fd`. Returns the
// exit code. Ends at end of file, not by SIGINT, SIGTERM or SIGHUP.
int capture_main(const char *path, int fd);
