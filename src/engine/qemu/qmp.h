// QMP: QEMU's control protocol over a socket pair (QEMU, docs/interop/qmp-spec.txt).
#pragma once

#include <event2/event.h>
#include <jansson.h>

#include "base/err.h"
#include "proto/caller.h"

struct qmp;

typedef caller_reply qmp_reply;

struct qmp_handlers {
    void (*ready)(void *arg, const json_t *greeting); // capabilities are negotiated
    void (*event)(void *arg, const char *name, const json_t *data);
    void (*lost)(void *arg); // QEMU went away, or is not to be talked to any more
    void *arg;
};

// Takes the descriptor (non-blocking).
struct qmp *qmp_new(struct event_base *base, int fd, const struct qmp_handlers *handlers);
void qmp_free(struct qmp *q);
// QEMU has ended: open commands are answered with ERR_NOT_RUNNING, as they are when it is lost.
void qmp_fail(struct qmp *q);

// Sends a command; takes `args` (NULL: none). `fd` >= 0 travels along (SCM_RIGHTS, for getfd) and
// stays the caller's. `reply` may be NULL where failing does not matter.
void qmp_call(struct qmp *q, const char *command, json_t *args, int fd, qmp_reply *reply,
              void *arg);
