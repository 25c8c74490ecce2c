// A command in the guest on our standard input, output and error.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "proto/client.h"

struct relay {
    struct client_conn *conn;
    json_int_t request; // whose answer is the command's end
    int io, err;        // our ends of the sockets that went with it; -1: it has none
    bool tty;           // sizes are passed on, and keys are no signals
    bool keys;          // input is a terminal's: escape.h
    int64_t deadline;   // of clock_ms(); < 0: none
};

// Until the command has ended and its output is written: its answer, owned by the caller. NULL
// with *e: ERR_TIMEOUT, ERR_INTERRUPTED by a second signal or by keys, or why it failed; *gone:
// Host ended.
json_t *relay_run(const struct relay *r, bool *gone, struct err *e);
