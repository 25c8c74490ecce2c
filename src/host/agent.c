// The agent client: one session at a time, requests with ids, facts kept as they come.
#include "host/agent.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/os.h"
#include "host/facts.h"
#include "host/stream.h"

enum {
    // A greeting may be lost on the way into a guest that was just restored, or be too early for
    // one
    // that boots: repeated soon, then ever less often.
    HELLO_FIRST_MS = 30,
    HELLO_LAST_MS = 1000,
    LOOK_MS = 300,
    ANSWER_MAX = 1024,
    UNSENT_LOW = 64 << 10, // streams send more before the channel runs dry
};

#define CLOSED "the channel to the guest's agent was closed"

struct request {
    struct agent *agent;
    unsigned id;
    agent_done *done;
    void *arg;
    struct settings *settings; // that the answer is about, or NULL
    struct event *timer;
    LIST_ENTRY(request) link;
};

struct agent {
    struct event_base *base;
    struct bufferevent *io;
    struct agent_hooks hooks;
    struct event *hello;
    int hello_ms;   // until the next greeting
    uint32_t nonce; // 0: no session wanted
    bool ready;
    int64_t heard;
    unsigned next_id;
    struct facts facts;
    struct streams streams;
    struct wire_decoder decoder;
    unsigned char buffer[WIRE_FRAME_MAX];
    LIST_HEAD(, request) requests;
};

static void request_end(struct request *rq, const struct err *why)
{
    agent_done *done = rq->done;
    void *arg = rq->arg;
    LIST_REMOVE(rq, link);
    event_free(rq->timer);
    free(rq);
    done(arg, why);
}

static void fail_requests(struct agent *a, const char *why)
{
    struct err e;
    err_set(&e, ERR_FAILED, "%s", why);
    struct request *rq;
    while ((rq = LIST_FIRST(&a->requests)))
        request_end(rq, &e);
}

void agent_frame_begin(const struct agent *a, struct wire_writer *w, void *buf, size_t cap,
                       enum wire_type type)
{
    wire_begin(w, buf, cap, type, a->nonce);
}

bool agent_send(struct agent *a, struct wire_writer *w)
{
    size_t n = wire_end(w);
    return n > 0 && bufferevent_write(a->io, w->buf, n) == 0;
}

size_t agent_unsent(const struct agent *a)
{
    return evbuffer_get_length(bufferevent_get_output(a->io));
}

int64_t agent_heard(const struct agent *a)
{
    return a->heard;
}

struct streams *agent_streams(struct agent *a)
{
    return &a->streams;
}

struct event_base *agent_base(const struct agent *a)
{
    return a->base;
}

static void say_hello(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct agent *a = arg;
    unsigned char buf[64];
    struct wire_writer w;
    // A guest that reads nothing must not make greetings pile up.
    if (agent_unsent(a) == 0) {
        wire_begin(&w, buf, sizeof buf, WIRE_HELLO, a->nonce);
        agent_send(a, &w);
    }
    event_add(a->hello, &(struct timeval){.tv_sec = a->hello_ms / 1000,
                                          .tv_usec = a->hello_ms % 1000 * 1000});
    a->hello_ms = a->hello_ms * 2 < HELLO_LAST_MS ? a->hello_ms * 2 : HELLO_LAST_MS;
}

static void on_answer(struct agent *a, const struct wire_frame *f)
{
    char text[ANSWER_MAX];
    if (wire_get(f, "id", text, sizeof text) < 0)
        return;
    unsigned id = (unsigned)strtoul(text, NULL, 10);
    struct request *rq;
    LIST_FOREACH(rq, &a->requests, link)
        if (rq->id == id)
            break;
    if (!rq)
        return;
    if (f->type == WIRE_OK)
        facts_take_load(&a->facts, f);
    if (f->type == WIRE_OK && rq->settings)
        settings_take(rq->settings, f);
    struct err e;
    if (f->type == WIRE_ERROR) {
        long n = wire_get(f, "message", text, sizeof text);
        err_set(&e, ERR_FAILED, "the guest's agent: %s", n < 0 ? "unknown error" : text);
    }
    request_end(rq, f->type == WIRE_ERROR ? &e : NULL);
}

// The agent before it was killed, or ended; all it was doing is lost.
static void on_started(struct agent *a)
{
    if (!a->ready)
        return; // a greeting is on its way
    agent_close(a, "the guest's agent has started anew");
    agent_open(a);
    a->hooks.changed(a->hooks.arg);
}

static void on_frame(struct agent *a, const struct wire_frame *f)
{
    if (f->type == WIRE_STARTED) {
        on_started(a);
        return;
    }
    if (a->nonce == 0 || f->nonce != a->nonce)
        return;
    a->heard = clock_ms();
    if (f->type == WIRE_READY) {
        bool first = !a->ready;
        event_del(a->hello);
        a->ready = true;
        facts_take(&a->facts, f);
        if (first)
            a->hooks.ready(a->hooks.arg);
        else
            a->hooks.changed(a->hooks.arg);
    } else if (a->ready && f->type == WIRE_INFO) {
        facts_take(&a->facts, f);
        a->hooks.changed(a->hooks.arg);
    } else if (f->type == WIRE_OK || f->type == WIRE_ERROR) {
        on_answer(a, f);
    } else if (a->ready) {
        streams_frame(&a->streams, f);
    }
}

static void on_read(struct bufferevent *io, void *arg)
{
    struct agent *a = arg;
    struct evbuffer *in = bufferevent_get_input(io);
    while (evbuffer_get_length(in) > 0) {
        size_t room;
        void *space = wire_space(&a->decoder, &room);
        int n = evbuffer_remove(in, space, room);
        if (n <= 0)
            return;
        wire_added(&a->decoder, (size_t)n);
        struct wire_frame f;
        while (wire_next(&a->decoder, &f))
            on_frame(a, &f);
    }
}

static void on_drained(struct bufferevent *io, void *arg)
{
    (void)io;
    struct agent *a = arg;
    streams_pump(&a->streams);
}

static void on_end(struct bufferevent *io, short what, void *arg)
{
    (void)what;
    struct agent *a = arg;
    bufferevent_disable(io, EV_READ | EV_WRITE);
    agent_close(a, CLOSED);
}

struct agent *agent_new(struct event_base *base, int fd, const struct agent_hooks *hooks)
{
    struct agent *a = xcalloc(1, sizeof *a);
    a->base = base;
    a->hooks = *hooks;
    TAILQ_INIT(&a->streams.list);
    a->hello = evtimer_new(base, say_hello, a);
    wire_decoder_init(&a->decoder, a->buffer, sizeof a->buffer);
    a->io = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(a->io, on_read, on_drained, on_end, a);
    bufferevent_setwatermark(a->io, EV_WRITE, UNSENT_LOW, 0);
    bufferevent_enable(a->io, EV_READ | EV_WRITE);
    return a;
}

void agent_free(struct agent *a)
{
    if (!a)
        return;
    agent_close(a, CLOSED);
    event_free(a->hello);
    bufferevent_free(a->io);
    facts_free(&a->facts);
    free(a);
}

void agent_open(struct agent *a)
{
    agent_close(a, CLOSED);
    do
        os_random(&a->nonce, sizeof a->nonce);
    while (a->nonce == 0);
    a->hello_ms = HELLO_FIRST_MS;
    say_hello(-1, 0, a);
}

void agent_close(struct agent *a, const char *why)
{
    a->nonce = 0;
    a->ready = false;
    event_del(a->hello);
    fail_requests(a, why);
    streams_fail(&a->streams, why);
    a->streams.last_id = 0;
}

bool agent_is_ready(const struct agent *a)
{
    return a->ready;
}

bool agent_can(const struct agent *a, const char *what)
{
    return facts_can(&a->facts, what);
}

int agent_check_set(const struct agent *a, struct err *e)
{
    if (agent_can(a, "set"))
        return 0;
    return err_set(e, ERR_FAILED, "the guest's agent is too old to set anything of the guest");
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct err e;
    err_set(&e, ERR_TIMEOUT, "the guest's agent does not answer");
    request_end(arg, &e);
}

static struct request *request_new(struct agent *a, int limit_ms, agent_done *done, void *arg)
{
    struct request *rq = xcalloc(1, sizeof *rq);
    *rq = (struct request){.agent = a, .id = ++a->next_id, .done = done, .arg = arg};
    rq->timer = evtimer_new(a->base, on_late, rq);
    event_add(rq->timer,
              &(struct timeval){.tv_sec = limit_ms / 1000, .tv_usec = limit_ms % 1000 * 1000});
    LIST_INSERT_HEAD(&a->requests, rq, link);
    return rq;
}

void agent_look(struct agent *a, agent_done *done, void *arg)
{
    const struct request *rq = request_new(a, LOOK_MS, done, arg);
    unsigned char buf[64];
    struct wire_writer w;
    wire_begin(&w, buf, sizeof buf, WIRE_LOOK, a->nonce);
    wire_put(&w, "id", "%u", rq->id);
    agent_send(a, &w);
}

void agent_set(struct agent *a, struct settings *settings, int limit_ms, agent_done *done,
               void *arg)
{
    struct request *rq = request_new(a, limit_ms, done, arg);
    static unsigned char buf[WIRE_FRAME_MAX];
    struct wire_writer w;
    rq->settings = settings;
    agent_frame_begin(a, &w, buf, sizeof buf, WIRE_SET);
    wire_put(&w, "id", "%u", rq->id);
    settings_put(settings, &w);
    agent_send(a, &w);
}

json_t *agent_status(const struct agent *a)
{
    json_t *status = a->ready && a->facts.doc ? json_deep_copy(a->facts.doc) : json_object();
    json_object_set_new(status, "ready", json_boolean(a->ready));
    return status;
}
