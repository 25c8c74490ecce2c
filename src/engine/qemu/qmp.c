// The QMP client: the greeting, capabilities, commands and events.
#include "engine/qemu/qmp.h"

#include <stdlib.h>

#include "base/mem.h"
#include "proto/caller.h"

struct qmp {
    struct caller *caller;
    struct qmp_handlers handlers;
    json_t *greeting;
};

static const json_t *unpack(const json_t *answer, const char *command, struct err *e)
{
    const json_t *result = json_object_get(answer, "return");
    if (!result) {
        const char *desc =
            json_string_value(json_object_get(json_object_get(answer, "error"), "desc"));
        err_set(e, ERR_FAILED, "QEMU: %s: %s", command, desc ? desc : "unknown error");
    }
    return result;
}

static void on_capabilities(void *arg, const json_t *result, const struct err *why)
{
    struct qmp *q = arg;
    (void)why;
    if (result)
        q->handlers.ready(q->handlers.arg, q->greeting);
}

static void on_line(void *arg, const json_t *line)
{
    struct qmp *q = arg;
    const char *event = json_string_value(json_object_get(line, "event"));
    if (json_object_get(line, "QMP") && !q->greeting) {
        q->greeting = json_incref(json_object_get(line, "QMP"));
        qmp_call(q, "qmp_capabilities", NULL, -1, on_capabilities, q);
    } else if (event) {
        q->handlers.event(q->handlers.arg, event, json_object_get(line, "data"));
    }
}

static void on_lost(void *arg)
{
    const struct qmp *q = arg;
    q->handlers.lost(q->handlers.arg);
}

struct qmp *qmp_new(struct event_base *base, int fd, const struct qmp_handlers *handlers)
{
    struct qmp *q = xcalloc(1, sizeof *q);
    const struct caller_handlers own = {
        .unpack = unpack, .line = on_line, .lost = on_lost, .arg = q, .who = "QEMU"};
    q->handlers = *handlers;
    q->caller = caller_new(base, fd, &own);
    return q;
}

void qmp_fail(struct qmp *q)
{
    caller_fail(q->caller);
}

void qmp_free(struct qmp *q)
{
    if (!q)
        return;
    caller_free(q->caller);
    json_decref(q->greeting);
    free(q);
}

void qmp_call(struct qmp *q, const char *command, json_t *args, int fd, qmp_reply *reply, void *arg)
{
    json_t *line = json_pack("{s:s, s:o*}", "execute", command, "arguments", args);
    caller_send(q->caller, command, line, fd, reply, arg);
}
