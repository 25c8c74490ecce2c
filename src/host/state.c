// The state table.
#include "host/state.h"

#include <assert.h>
#include <stddef.h>

static const char *const state_names[] = {
    [ST_STARTING] = "starting", [ST_RESTORING] = "restoring", [ST_RUNNING] = "running",
    [ST_PAUSED] = "paused",     [ST_IO_ERROR] = "io-error",   [ST_PANICKED] = "panicked",
    [ST_SAVING] = "saving",     [ST_STOPPING] = "stopping",   [ST_STOPPED] = "stopped",
    [ST_FAILED] = "failed",
};
static_assert(sizeof state_names / sizeof *state_names == ST_COUNT, "a name for each state");

static const char *const input_names[] = {
    [IN_RUNNING] = "running",   [IN_PAUSED] = "paused", [IN_IO_ERROR] = "io-error",
    [IN_PANICKED] = "panicked", [IN_RESET] = "reset",   [IN_SHUTDOWN] = "shutdown",
    [IN_EXITED] = "exited",     [IN_SAVED] = "saved",   [IN_NOT_SAVED] = "not-saved",
    [IN_SAVE] = "stop",         [IN_HALT] = "halt",     [IN_PAUSE] = "pause",
    [IN_RESUME] = "resume",     [IN_ATTACH] = "attach",
};
static_assert(sizeof input_names / sizeof *input_names == IN_COUNT, "a name for each input");

static const struct {
    enum state from;
    enum input in;
    enum state to;
} table[] = {
    {ST_STARTING, IN_RUNNING, ST_RUNNING},
    {ST_STARTING, IN_HALT, ST_STOPPING},
    {ST_STARTING, IN_EXITED, ST_FAILED},

    {ST_RESTORING, IN_RUNNING, ST_RUNNING},
    {ST_RESTORING, IN_IO_ERROR, ST_IO_ERROR},
    {ST_RESTORING, IN_HALT, ST_STOPPING},
    {ST_RESTORING, IN_EXITED, ST_FAILED},

    {ST_RUNNING, IN_PAUSED, ST_PAUSED},
    {ST_RUNNING, IN_IO_ERROR, ST_IO_ERROR},
    {ST_RUNNING, IN_PANICKED, ST_PANICKED},
    {ST_RUNNING, IN_RESET, ST_RUNNING},
    {ST_RUNNING, IN_SHUTDOWN, ST_STOPPING},
    {ST_RUNNING, IN_EXITED, ST_FAILED},
    {ST_RUNNING, IN_SAVE, ST_SAVING},
    {ST_RUNNING, IN_HALT, ST_STOPPING},
    {ST_RUNNING, IN_PAUSE, ST_PAUSED},
    {ST_RUNNING, IN_RESUME, ST_RUNNING},
    {ST_RUNNING, IN_ATTACH, ST_RUNNING},

    {ST_PAUSED, IN_RUNNING, ST_RUNNING},
    {ST_PAUSED, IN_PANICKED, ST_PANICKED}, // what it did just before shows only now
    {ST_PAUSED, IN_SHUTDOWN, ST_STOPPING},
    {ST_PAUSED, IN_EXITED, ST_FAILED},
    {ST_PAUSED, IN_SAVE, ST_SAVING},
    {ST_PAUSED, IN_HALT, ST_STOPPING},
    {ST_PAUSED, IN_PAUSE, ST_PAUSED},
    {ST_PAUSED, IN_RESUME, ST_PAUSED},
    {ST_PAUSED, IN_ATTACH, ST_PAUSED},

    {ST_IO_ERROR, IN_RUNNING, ST_RUNNING},
    {ST_IO_ERROR, IN_PANICKED, ST_PANICKED},
    {ST_IO_ERROR, IN_SHUTDOWN, ST_STOPPING},
    {ST_IO_ERROR, IN_EXITED, ST_FAILED},
    {ST_IO_ERROR, IN_SAVE, ST_SAVING},
    {ST_IO_ERROR, IN_HALT, ST_STOPPING},
    {ST_IO_ERROR, IN_RESUME, ST_IO_ERROR},
    {ST_IO_ERROR, IN_ATTACH, ST_IO_ERROR},

    // A kernel that gave up is neither saved (it would give up again) nor resumed.
    {ST_PANICKED, IN_RESET, ST_RUNNING},
    {ST_PANICKED, IN_SHUTDOWN, ST_STOPPING},
    {ST_PANICKED, IN_EXITED, ST_FAILED},
    {ST_PANICKED, IN_HALT, ST_STOPPING},

    // Back to where it was saved from; Host resumes a guest that ran.
    {ST_SAVING, IN_NOT_SAVED, ST_PAUSED},
    {ST_SAVING, IN_PANICKED, ST_PANICKED},
    {ST_SAVING, IN_SHUTDOWN, ST_STOPPING},
    {ST_SAVING, IN_SAVED, ST_STOPPING},
    {ST_SAVING, IN_HALT, ST_STOPPING},
    {ST_SAVING, IN_EXITED, ST_FAILED},

    {ST_STOPPING, IN_HALT, ST_STOPPING},
    {ST_STOPPING, IN_EXITED, ST_STOPPED},
};

const char *state_name(enum state s)
{
    return state_names[s];
}

const char *input_name(enum input in)
{
    return input_names[in];
}

bool state_next(enum state from, enum input in, enum state *to)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].from == from && table[i].in == in) {
            *to = table[i].to;
            return true;
        }
    return false;
}

int state_refuse(enum state s, enum input in, struct err *e)
{
    return err_set(e, s == ST_PANICKED ? ERR_FAILED : ERR_BUSY,
                   "%s is not possible: the VM is %s%s", input_name(in), state_name(s),
                   s == ST_PANICKED ? " ('halt' ends it)" : "");
}
