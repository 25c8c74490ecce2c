// Streams to the guest's agent. What the agent says is not trusted: a stream whose rules it breaks
// ends with an error.
#include "host/stream.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "agent/wire.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    START_SECONDS = 5,
    STARTS_MAX = 12,        // of these, where the agent has other things to say meanwhile
    UNSENT_MAX = 256 << 10, // input waits in its own buffers while so much waits for the channel
    SMALL_FRAME = 256,
    NAME_MAX_BYTES = 64,
    MESSAGE_MAX = 512,
};

struct stream {
    struct agent *agent;
    uint32_t id;
    struct stream_hooks hooks;
    struct event *late; // pending until the agent has said something about it
    int starts;
    uint64_t sent, may_send;
    struct {
        uint64_t at, limit;
    } out[STREAM_PARTS];
    TAILQ_ENTRY(stream) link;
};

static void stream_free(struct stream *s)
{
    TAILQ_REMOVE(&agent_streams(s->agent)->list, s, link);
    event_free(s->late);
    free(s);
}

static void end(struct stream *s, const struct stream_end *how, const struct err *why)
{
    struct stream_hooks hooks = s->hooks;
    stream_free(s);
    hooks.ended(hooks.arg, how, why);
}

// A frame about the stream.
static void frame_begin(const struct stream *s, struct wire_writer *w, void *buf, size_t cap,
                        enum wire_type type)
{
    agent_frame_begin(s->agent, w, buf, cap, type);
    wire_put(w, "stream", "%u", s->id);
}

static void send_text(const struct stream *s, enum wire_type type, const char *key,
                      const char *value)
{
    unsigned char buf[SMALL_FRAME];
    struct wire_writer w;
    frame_begin(s, &w, buf, sizeof buf, type);
    if (key)
        wire_put(&w, key, "%s", value);
    agent_send(s->agent, &w);
}

void stream_drop(struct stream *s)
{
    send_text(s, WIRE_KILL, NULL, NULL);
    stream_free(s);
}

static void fail(struct stream *s, enum err_code code, const char *why)
{
    struct err e;
    err_set(&e, code, "%s", why);
    send_text(s, WIRE_KILL, NULL, NULL);
    end(s, NULL, &e);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct stream *s = arg;
    // An agent with hundreds of commands to start gets to this one in its turn.
    if (clock_ms() - agent_heard(s->agent) < START_SECONDS * 1000 && ++s->starts < STARTS_MAX)
        event_add(s->late, &(struct timeval){.tv_sec = START_SECONDS});
    else
        fail(s, ERR_TIMEOUT, "the guest's agent does not answer");
}

static struct stream *stream_new(struct agent *a, const struct stream_hooks *hooks, struct err *e)
{
    if (!agent_is_ready(a)) {
        err_set(e, ERR_FAILED, "the guest's agent does not answer yet");
        return NULL;
    }
    if (!agent_can(a, "exec")) {
        err_set(e, ERR_FAILED,
                "the guest's agent is too old to run commands: put a newer "
                "tailmac-agent into the guest");
        return NULL;
    }
    struct streams *all = agent_streams(a);
    struct stream *s = xcalloc(1, sizeof *s);
    *s = (struct stream){.agent = a, .id = ++all->last_id, .hooks = *hooks};
    for (int i = 0; i < STREAM_PARTS; i++)
        s->out[i].limit = WIRE_WINDOW;
    s->late = evtimer_new(agent_base(a), on_late, s);
    event_add(s->late, &(struct timeval){.tv_sec = START_SECONDS});
    TAILQ_INSERT_TAIL(&all->list, s, link);
    return s;
}

static void put_size(struct wire_writer *w, int rows, int cols)
{
    wire_put(w, "rows", "%d", rows);
    wire_put(w, "cols", "%d", cols);
}

struct stream *stream_exec(struct agent *a, const struct stream_order *order,
                           const struct stream_hooks *hooks, struct err *e)
{
    static unsigned char buf[WIRE_FRAME_MAX];
    struct stream *s = stream_new(a, hooks, e);
    if (!s)
        return NULL;
    struct wire_writer w;
    frame_begin(s, &w, buf, sizeof buf, WIRE_EXEC);
    wire_put(&w, "tty", "%d", order->tty);
    wire_put(&w, "detach", "%d", order->detach);
    put_size(&w, order->rows, order->cols);
    wire_put_data(&w, order->words, order->length);
    if (agent_send(a, &w))
        return s;
    stream_free(s);
    err_set(e, ERR_USAGE, "the command with its environment is too long: at most 64,000 bytes");
    return NULL;
}

struct stream *stream_wait(struct agent *a, const char *job, const struct stream_hooks *hooks,
                           struct err *e)
{
    struct stream *s = stream_new(a, hooks, e);
    if (!s)
        return NULL;
    event_del(s->late); // it may take as long as it takes
    unsigned char buf[SMALL_FRAME];
    struct wire_writer w;
    frame_begin(s, &w, buf, sizeof buf, WIRE_WAIT);
    wire_put(&w, "job", "%s", job);
    if (agent_send(a, &w))
        return s;
    stream_free(s);
    err_set(e, ERR_FAILED, "there is no such job");
    return NULL;
}

// --- input ---

size_t stream_room(const struct stream *s)
{
    uint64_t room = s->may_send - s->sent;
    if (agent_unsent(s->agent) > UNSENT_MAX)
        return 0;
    return room < WIRE_DATA_MAX ? (size_t)room : WIRE_DATA_MAX;
}

static void send_input(struct stream *s, const void *data, size_t n, bool last)
{
    static unsigned char buf[WIRE_DATA_FRAME_MAX];
    struct wire_writer w;
    frame_begin(s, &w, buf, sizeof buf, WIRE_STDIN);
    wire_put(&w, "at", "%llu", (unsigned long long)s->sent);
    if (last)
        wire_put(&w, "end", "1");
    wire_put_data(&w, data, n);
    agent_send(s->agent, &w);
    s->sent += n;
}

void stream_input(struct stream *s, const void *data, size_t n)
{
    send_input(s, data, n, false);
}

void stream_input_end(struct stream *s)
{
    send_input(s, "", 0, true);
}

// --- output ---

void stream_grant(struct stream *s, enum stream_part part, size_t waiting)
{
    static const char *const keys[] = {[STREAM_OUT] = "out", [STREAM_ERR] = "err"};
    uint64_t limit = s->out[part].at + WIRE_WINDOW - waiting;
    if (limit < s->out[part].limit + WIRE_WINDOW / 2)
        return;
    s->out[part].limit = limit;
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)limit);
    send_text(s, WIRE_CREDIT, keys[part], text);
}

void stream_shut(struct stream *s, enum stream_part part)
{
    send_text(s, WIRE_SHUT, "part", part == STREAM_OUT ? "out" : "err");
}

void stream_signal(struct stream *s, const char *name)
{
    send_text(s, WIRE_SIGNAL, "signal", name);
}

void stream_resize(struct stream *s, int rows, int cols)
{
    unsigned char buf[SMALL_FRAME];
    struct wire_writer w;
    frame_begin(s, &w, buf, sizeof buf, WIRE_RESIZE);
    put_size(&w, rows, cols);
    agent_send(s->agent, &w);
}

// --- what the guest says ---

static void on_output(struct stream *s, enum stream_part part, const struct wire_frame *f)
{
    static unsigned char data[WIRE_DATA_MAX];
    long n = wire_get_data(f, data, sizeof data);
    uint64_t at = s->out[part].at;
    if (n < 0 || wire_get_number(f, "at") != (int64_t)at || (uint64_t)n > s->out[part].limit - at) {
        fail(s, ERR_FAILED, "output of the command was lost or came twice");
        return;
    }
    s->out[part].at = at + (uint64_t)n;
    s->hooks.output(s->hooks.arg, part, data, (size_t)n);
}

static void on_credit(struct stream *s, const struct wire_frame *f)
{
    int64_t in = wire_get_number(f, "in");
    event_del(s->late);
    // More than the window would be no promise that can be kept.
    if (in > (int64_t)s->may_send && (uint64_t)in <= s->sent + WIRE_WINDOW)
        s->may_send = (uint64_t)in;
    s->hooks.writable(s->hooks.arg);
}

static void on_told_end(struct stream *s, const struct wire_frame *f)
{
    char job[NAME_MAX_BYTES];
    char message[MESSAGE_MAX];
    int64_t code = wire_get_number(f, "code");
    int64_t signal = wire_get_number(f, "signal");
    bool detached = wire_get(f, "job", job, sizeof job) > 0;
    bool told = wire_get(f, "message", message, sizeof message) > 0;
    text_clean(job);
    text_clean(message);
    struct stream_end how = {.code = signal > 0 ? 128 + (int)(signal & 127) : (int)(code & 255),
                             .signal = signal > 0 ? (int)(signal & 127) : 0,
                             .job = detached ? job : NULL,
                             .message = told ? message : NULL};
    if (code < 0 && signal <= 0 && !detached) {
        fail(s, ERR_FAILED, told ? message : "the guest's agent does not tell the command's end");
        return;
    }
    if (!detached)
        send_text(s, WIRE_KILL, NULL, NULL); // a job may be forgotten now
    end(s, &how, NULL);
}

static struct stream *find(const struct streams *all, int64_t id)
{
    struct stream *s;
    TAILQ_FOREACH(s, &all->list, link)
        if (s->id == id)
            return s;
    return NULL;
}

void streams_frame(struct streams *all, const struct wire_frame *f)
{
    struct stream *s = find(all, wire_get_number(f, "stream"));
    if (!s)
        return; // dropped while this was on its way
    if (f->type == WIRE_STDOUT)
        on_output(s, STREAM_OUT, f);
    else if (f->type == WIRE_STDERR)
        on_output(s, STREAM_ERR, f);
    else if (f->type == WIRE_CREDIT)
        on_credit(s, f);
    else if (f->type == WIRE_EXIT)
        on_told_end(s, f);
}

void streams_fail(struct streams *all, const char *why)
{
    struct err e;
    struct stream *s;
    err_set(&e, ERR_FAILED, "%s", why);
    while ((s = TAILQ_FIRST(&all->list)))
        end(s, NULL, &e);
}

// Each gets its turn: who was served goes to the end of the queue.
void streams_pump(struct streams *all)
{
    struct stream *last = TAILQ_LAST(&all->list, stream_list);
    struct stream *s;
    while (last && (s = TAILQ_FIRST(&all->list)) && agent_unsent(s->agent) <= UNSENT_MAX) {
        TAILQ_REMOVE(&all->list, s, link);
        TAILQ_INSERT_TAIL(&all->list, s, link);
        s->hooks.writable(s->hooks.arg);
        if (s == last)
            return;
    }
}
