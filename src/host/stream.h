// Host's side of streams (agent/wire.h): commands in the guest, their input and output.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "host/agent.h"

enum stream_part { STREAM_OUT, STREAM_ERR, STREAM_PARTS };

struct stream;

// How a stream ended.
struct stream_end {
    int code;            // as a shell has it: 128 + signal, 126 and 127
    int signal;          // 0: it exited by itself
    const char *job;     // it goes on detached, by this name; NULL: it does not
    const char *message; // why its program never ran; NULL: it did
};

struct stream_hooks {
    // At most WIRE_WINDOW bytes are on their way before stream_grant() allows more.
    void (*output)(void *arg, enum stream_part part, const void *data, size_t n);
    // stream_room() may be other than 0 now.
    void (*writable)(void *arg);
    // The last call; the stream is gone. `how` or why.
    void (*ended)(void *arg, const struct stream_end *how, const struct err *why);
    void *arg;
};

// What is to be run; `words` as wire.h has it.
struct stream_order {
    const void *words;
    size_t length;
    bool tty, detach;
    int rows, cols;
};

// Both fail where the agent is not there, or cannot do it. The agent has 5 s to start the
// command, or to say anything else, for a minute.
struct stream *stream_exec(struct agent *a, const struct stream_order *order,
                           const struct stream_hooks *hooks, struct err *e);
struct stream *stream_wait(struct agent *a, const char *job, const struct stream_hooks *hooks,
                           struct err *e);
// The command is killed, a job only left; no hook is called any more.
void stream_drop(struct stream *s);

// How many bytes of input the guest takes now, and they are few enough for one frame.
size_t stream_room(const struct stream *s);
void stream_input(struct stream *s, const void *data, size_t n);
void stream_input_end(struct stream *s);

// Of the output that came, `waiting` bytes were not passed on yet.
void stream_grant(struct stream *s, enum stream_part part, size_t waiting);
// Nobody reads it any more.
void stream_shut(struct stream *s, enum stream_part part);
void stream_signal(struct stream *s, const char *name);
void stream_resize(struct stream *s, int rows, int cols);

// For agent.c: a frame of a stream; all streams end; there is room for input on the channel.
void streams_frame(struct streams *list, const struct wire_frame *f);
void streams_fail(struct streams *list, const char *why);
void streams_pump(struct streams *list);
