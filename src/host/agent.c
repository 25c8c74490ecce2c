// The agent client: one session at a time, requests with ids, facts kept as they come.
#include "host/agent.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"
#include "host/stream.h"

enum {
    // A greeting may be lost on the way into a guest that was just restored, or be too early for
    // one
    // that boots: repeated soon, then ever less often.
    HELLO_FIRST_MS = 30,
    HELLO_LAST_MS = 1000,
    REQUEST_MS = 5000,
    LOOK_MS = 300,
    FACT_MAX = 1024,
    ADDRESSES_MAX = 64,
    UNSENT_LOW = 64 << 10, // streams send more before the channel runs dry
};

#define CLOSED "the channel to the guest's agent was closed"

struct request {
    struct agent *agent;
    unsigned id;
    agent_done *done;
    void *arg;
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
    unsigned next_id;
    json_t *facts;
    char can[FACT_MAX]; // words
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

// "eth0 52:cc:cc:cc:cc:01 up 192.168.0.7/24,fe80::1/64" or with "-" for no address.
static json_t *parse_nic(char *text)
{
    char name[64];
    char mac[MAC_TEXT];
    char link[8];
    int addresses_at = 0;
    text_clean(text);
    if (sscanf(text, "%63s %17s %7s %n", name, mac, link, &addresses_at) != 3 || !addresses_at)
        return NULL;
    json_t *list = json_array();
    char *copy = xstrdup(text + addresses_at);
    char *rest = copy;
    for (char *one; (one = strsep(&rest, ",")) && json_array_size(list) < ADDRESSES_MAX;)
        if (*one && strcmp(one, "-") != 0)
            json_array_append_new(list, json_string(one));
    free(copy);
    return json_pack("{s:s, s:s, s:b, s:o}", "name", name, "mac", mac, "up",
                     strcmp(link, "up") == 0, "addresses", list);
}

static void take_facts(struct agent *a, const struct wire_frame *f)
{
    static const char *const keys[] = {"agent", "hostname", "uptime"};
    char text[FACT_MAX];
    json_t *facts = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (wire_get(f, keys[i], text, sizeof text) >= 0) {
            text_clean(text);
            json_object_set_new(facts, keys[i], json_string(text));
        }
    wire_get(f, "can", a->can, sizeof a->can);
    json_t *nics = json_array();
    size_t pos = 0;
    for (long n; (n = wire_value_next(f, &pos, "nic", text, sizeof text)) != -1;) {
        json_t *nic = n < 0 ? NULL : parse_nic(text);
        if (nic)
            json_array_append_new(nics, nic);
    }
    json_object_set_new(facts, "nics", nics);
    json_decref(a->facts);
    a->facts = facts;
}

static void take_number(json_t *facts, const struct wire_frame *f, const char *key,
                        const char *name)
{
    int64_t n = wire_get_number(f, key);
    if (n >= 0)
        json_object_set_new(facts, name, json_integer(n));
}

// How busy the guest is. It comes only when asked for, in the answer.
static void take_load(struct agent *a, const struct wire_frame *f)
{
    char text[24];
    char *end;
    if (wire_get(f, "load", text, sizeof text) <= 0)
        return;
    double load = strtod(text, &end);
    if (!*end && isfinite(load))
        json_object_set_new(a->facts, "load", json_real(load));
    take_number(a->facts, f, "memory-total", "memory_total");
    take_number(a->facts, f, "memory-available", "memory_available");
    if (wire_get(f, "uptime", text, sizeof text) > 0) {
        text_clean(text);
        json_object_set_new(a->facts, "uptime", json_string(text));
    }
}

static void on_answer(struct agent *a, const struct wire_frame *f)
{
    char text[FACT_MAX];
    if (wire_get(f, "id", text, sizeof text) < 0)
        return;
    unsigned id = (unsigned)strtoul(text, NULL, 10);
    struct request *rq;
    LIST_FOREACH(rq, &a->requests, link)
        if (rq->id == id)
            break;
    if (!rq)
        return;
    if (f->type == WIRE_OK && a->facts)
        take_load(a, f);
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
    if (f->type == WIRE_READY) {
        bool first = !a->ready;
        event_del(a->hello);
        a->ready = true;
        take_facts(a, f);
        if (first)
            a->hooks.ready(a->hooks.arg);
        else
            a->hooks.changed(a->hooks.arg);
    } else if (a->ready && f->type == WIRE_INFO) {
        take_facts(a, f);
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
    json_decref(a->facts);
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
    size_t n = strlen(what);
    for (const char *at = a->can; (at = strstr(at, what)); at += n)
        if ((at == a->can || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
    return false;
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

void agent_set_clock(struct agent *a, agent_done *done, void *arg)
{
    const struct request *rq = request_new(a, REQUEST_MS, done, arg);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    unsigned char buf[256];
    struct wire_writer w;
    wire_begin(&w, buf, sizeof buf, WIRE_SET_CLOCK, a->nonce);
    wire_put(&w, "id", "%u", rq->id);
    wire_put(&w, "time", "%lld.%09ld", (long long)now.tv_sec, now.tv_nsec);
    agent_send(a, &w);
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

void agent_set_mac(struct agent *a, const struct mac *from, const struct mac *to, agent_done *done,
                   void *arg)
{
    const struct request *rq = request_new(a, REQUEST_MS, done, arg);
    char from_text[MAC_TEXT];
    char to_text[MAC_TEXT];
    mac_format(from, from_text);
    mac_format(to, to_text);
    unsigned char buf[256];
    struct wire_writer w;
    wire_begin(&w, buf, sizeof buf, WIRE_SET_MAC, a->nonce);
    wire_put(&w, "id", "%u", rq->id);
    wire_put(&w, "from", "%s", from_text);
    wire_put(&w, "to", "%s", to_text);
    agent_send(a, &w);
}

json_t *agent_status(const struct agent *a)
{
    json_t *status = a->ready && a->facts ? json_deep_copy(a->facts) : json_object();
    json_object_set_new(status, "ready", json_boolean(a->ready));
    return status;
}
