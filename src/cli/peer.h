// The guest's side of a copy: its agent, run as a command in the guest, and a tree's bytes to or
// from it.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "proto/client.h"
#include "tree/tree.h"

struct peer {
    struct client_conn *conn;
    json_int_t request; // whose answer is the command's end
    int io, err;        // our ends of its sockets
    int64_t deadline;   // of clock_ms(); < 0: none
    bool ended;         // it reads or writes no more
    size_t said_size;
    char said[512]; // the beginning of its errors
};

// Starts it as `user` (NULL: root) with these words, of which the last may be NULL. `p` has conn
// and deadline already.
int peer_start(struct peer *p, const char *const words[3], const char *user, struct err *e);
// Reads and writes end at the deadline and at the first signal (interrupt_catch()).
struct tree_io peer_io(struct peer *p);
// Nothing more will be written: waits until the guest's side has ended. 0 where it did well; -1
// with *e: what it said, or *gone: Host ended.
int peer_finish(struct peer *p, bool *gone, struct err *e);
// The sockets; a command that still runs is killed with its connection.
void peer_close(struct peer *p);
