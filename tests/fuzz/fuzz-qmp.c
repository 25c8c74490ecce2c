// Fuzzes what QEMU says: each command gets exactly one answer, whatever comes.
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/qemu/qmp.h"
#include "proto/unix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct session {
    struct qmp *qmp;
    int asked, answered;
};

static void on_reply(void *arg, const json_t *result, const struct err *why)
{
    struct session *s = arg;
    s->answered++;
    if (!result == !why)
        abort();
}

static void ask(struct session *s)
{
    s->asked++;
    qmp_call(s->qmp, "query-status", NULL, -1, on_reply, s);
}

static void on_ready(void *arg, const json_t *greeting)
{
    if (!greeting)
        abort();
    ask(arg);
}

// As an engine does, it asks something now and then.
static void on_event(void *arg, const char *name, const json_t *data)
{
    struct session *s = arg;
    if (s->asked < 8 && name[0] == 'S' && !data)
        ask(s);
}

static void on_lost(void *arg)
{
    const struct session *s = arg;
    if (s->answered != s->asked)
        abort();
}

// Hands over all of it, and lets the client read.
static void say(struct event_base *base, int fd, const uint8_t *data, size_t size)
{
    for (int idle = 0; size > 0 && idle < 8; idle++) {
        ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            data += n;
            size -= (size_t)n;
            idle = 0;
        }
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session s = {0};
    const struct qmp_handlers handlers = {
        .ready = on_ready, .event = on_event, .lost = on_lost, .arg = &s};
    struct err e;
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    if (unix_pair(ends, &e) < 0)
        abort();
    struct event_base *base = event_base_new();
    s.qmp = qmp_new(base, ends[0], &handlers);
    ask(&s);
    ask(&s);
    say(base, ends[1], data, size);
    if (size % 2) { // it dies
        shutdown(ends[1], SHUT_RDWR);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    qmp_free(s.qmp);
    if (s.answered != s.asked)
        abort();
    event_base_free(base);
    close(ends[1]);
    return 0;
}
