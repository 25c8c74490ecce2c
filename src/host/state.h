// What a running VM is doing, and what may happen to it next: one table.
#pragma once

#include <stdbool.h>

#include "base/err.h"

enum state {
    ST_STARTING,  // cold boot: the engine is being set up, the guest has not run
    ST_RESTORING, // the same with a saved state
    ST_RUNNING,
    ST_PAUSED,   // by order
    ST_IO_ERROR, // by its disk: full, most likely; `resume` tries again
    ST_PANICKED, // its kernel gave up
    ST_SAVING,
    ST_STOPPING, // the engine is on its way out
    ST_STOPPED,
    ST_FAILED,
    ST_COUNT,
};

enum input {
    // what the engine says
    IN_RUNNING,
    IN_PAUSED,
    IN_IO_ERROR,
    IN_PANICKED,
    IN_RESET,
    IN_SHUTDOWN, // the guest powered off
    IN_EXITED,   // the engine's process ended
    IN_SAVED,    // the state is on disk
    IN_NOT_SAVED,
    // what people order
    IN_SAVE,
    IN_HALT,
    IN_PAUSE,
    IN_RESUME,
    IN_ATTACH,
    IN_COUNT,
};

const char *state_name(enum state s);
const char *input_name(enum input in); // of an order, as its verb: "stop"

// The state after `in`; false where the table has no such transition: an engine's word is then of
// no consequence, an order is refused.
bool state_next(enum state from, enum input in, enum state *to);

// Why an order is refused: ERR_BUSY, "it is saving".
int state_refuse(enum state s, enum input in, struct err *e);
