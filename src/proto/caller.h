// The asking side of JSON lines in an event loop: requests are numbered, answers find them again,
// and nothing waits. What a request and an answer look like is the user's: QMP's, or line.h's.
#pragma once

#include <event2/event.h>
#include <jansson.h>

#include "base/err.h"

struct caller;

// Exactly one call per request: `result` (borrowed), or NULL and why.
typedef void caller_reply(void *arg, const json_t *result, const struct err *why);

// A handler or a reply may send requests; it may not free the caller.
struct caller_handlers {
    // The result in an answer to `what`, or NULL with *e.
    const json_t *(*unpack)(const json_t *answer, const char *what, struct err *e);
    // A line that answers nothing: a greeting, an event.
    void (*line)(void *arg, const json_t *line);
    // The server went away, or is not to be talked to any more; what was open has been answered.
    void (*lost)(void *arg);
    void *arg;
    const char *who; // "QEMU": the server, in errors
};

// Takes the descriptor (a connected stream socket, non-blocking).
struct caller *caller_new(struct event_base *base, int fd, const struct caller_handlers *handlers);
void caller_free(struct caller *c);
// The server has ended: open requests are answered with ERR_NOT_RUNNING, as they are when it is
// lost.
void caller_fail(struct caller *c);

// Sends `request` (taken), which gets an "id". `what` names it in errors and lives as long as the
// caller. `fd` >= 0 travels along (SCM_RIGHTS) and stays the user's. `reply` may be NULL where
// failing does not matter.
void caller_send(struct caller *c, const char *what, json_t *request, int fd, caller_reply *reply,
                 void *arg);
