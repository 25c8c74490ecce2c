// One connection, as a state and flags of what has to be said next. For the files that make up
// vsock-links.h alone.
//
// A connection is in the table as long as the guest knows of it. Where the guest has closed it and
// the program has not read all, it goes on outside the table (OVER) until it has.
#pragma once

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "host/vsock-links.h"

enum { VSOCK_BUCKETS = 256, VSOCK_STRAYS_MAX = 128 };

enum link_state {
    DIALING, // the guest asked; the program has no room yet
    CALLING, // the guest is asked
    OPEN,
    OVER, // nothing is between it and the guest any more, but perhaps a reset to be sent
};

// What has to be said, the first first.
enum {
    SAY_RST = 1,
    SAY_REQUEST = 2,
    SAY_RESPONSE = 4,
    SAY_SHUTDOWN = 8,
    SAY_CREDIT = 16,
    ASK = 32
};

struct link {
    struct links *all;
    uint32_t host_port, guest_port;
    enum link_state state;
    unsigned say;
    bool listed; // in the table
    bool queued; // to say something
    bool greet;
    int fd; // -1: none yet, or no more
    struct event *read, *write, *timer;
    int64_t deadline; // of dialing
    LIST_ENTRY(link) bucket;
    LIST_ENTRY(link) every;
    TAILQ_ENTRY(link) turn;

    // To the guest.
    bool readable;         // the socket may have bytes
    bool ended;            // it has none any more
    bool asked;            // for credit, since there was some
    unsigned no_more;      // VSOCK_NO_…: what we told
    uint32_t sent;         // bytes, ever
    uint32_t guest_window; // its buf_alloc
    uint32_t guest_read;   // its fwd_cnt

    // From the guest.
    struct evbuffer *unwritten;
    unsigned guest_no_more; // VSOCK_NO_…: what it told
    uint32_t taken;         // bytes that the program has, ever: our fwd_cnt
    uint32_t told;          // of these
};

struct links {
    struct event_base *base;
    uint32_t cid;
    struct links_hooks hooks;
    int count;
    uint32_t next_port;
    LIST_HEAD(bucket, link) table[VSOCK_BUCKETS];
    LIST_HEAD(, link) every;
    TAILQ_HEAD(, link) turns;
    struct vsock_header strays[VSOCK_STRAYS_MAX];
    int stray_first, stray_count;
};

// vsock-links.c: the table, and how connections begin and end.
struct link *links_find(const struct links *ls, uint32_t host_port, uint32_t guest_port);
struct link *link_new(struct links *ls, uint32_t host_port, uint32_t guest_port,
                      enum link_state state);
void link_unlist(struct link *l);
void link_dial(struct link *l);
void link_start(struct link *l);
// The guest's end is no more; `tell` it so. The program still gets what was sent, where `drain`.
void link_end(struct link *l, bool tell, bool drain);
// The program's end is no more.
void link_fail(struct link *l);
// Frees a connection that is over once the guest was told and the program has everything.
void link_settle(struct link *l);

// vsock-packets.c: what there is to say to the guest.
void link_say(struct link *l, unsigned what);
void link_queue(struct link *l);

// vsock-socket.c: the program's end.
void link_adopt(struct link *l, int fd); // taken
void link_let_go(struct link *l);
void link_greet(const struct link *l);
// What the guest sent; what the program does not take now is kept.
void link_write(struct link *l, const struct iovec *part, int n);
size_t link_unwritten(const struct link *l);
// Straight into the guest's memory; 0 where there is nothing (now, or any more).
size_t link_read(struct link *l, const struct iovec *part, int n);
// The guest has said that it sends no more, or takes no more.
void link_shut(const struct link *l);
