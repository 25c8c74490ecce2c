// Frames of streams for Host: made when there is room for them, each stream in turn.
#include "agent/commands-table.h"

#include <string.h>
#include <sys/wait.h>

struct room {
    unsigned char *buf;
    size_t cap, used;
    uint32_t nonce;
};

static void frame_begin(struct room *r, struct wire_writer *w, enum wire_type type,
                        const struct running *st)
{
    wire_begin(w, r->buf + r->used, r->cap - r->used, type, r->nonce);
    wire_put(w, "stream", "%u", st->id);
}

static void send_output(struct running *st, int k, struct room *r)
{
    static unsigned char data[WIRE_DATA_MAX];
    struct output *o = &st->out[k];
    uint64_t credit = o->limit - o->at;
    struct wire_writer w;
    size_t n;

    if (o->fd < 0 || !o->readable || credit == 0)
        return;
    n = output_read(st, o, data, credit < sizeof data ? (size_t)credit : sizeof data);
    if (n == 0)
        return;
    frame_begin(r, &w, k == OUT ? WIRE_STDOUT : WIRE_STDERR, st);
    wire_put(&w, "at", "%llu", (unsigned long long)o->at);
    wire_put_data(&w, data, n);
    r->used += wire_end(&w);
    o->at += n;
}

// The first credit says that the command was started.
static void send_credit(struct running *st, struct room *r)
{
    uint64_t limit = st->in.at - st->in.held + WIRE_WINDOW;
    struct wire_writer w;

    if (!st->in.buf || limit - st->in.limit < WIRE_WINDOW / 2 || st->why[0])
        return;
    st->in.limit = limit;
    frame_begin(r, &w, WIRE_CREDIT, st);
    wire_put(&w, "in", "%llu", (unsigned long long)limit);
    r->used += wire_end(&w);
}

static void put_end(struct running *st, struct wire_writer *w)
{
    if (st->why[0]) {
        st->why[strcspn(st->why, "\n")] = '\0';
        if (st->code)
            wire_put(w, "code", "%d", st->code);
        wire_put(w, "message", "%s", st->why);
    } else if (WIFSIGNALED(st->status)) {
        wire_put(w, "signal", "%d", WTERMSIG(st->status));
    } else {
        wire_put(w, "code", "%d", WEXITSTATUS(st->status));
    }
}

static void send_announcement(const struct commands *s, struct running *st, struct room *r)
{
    struct wire_writer w;
    char name[32];

    commands_job_name(s, st, name);
    frame_begin(r, &w, WIRE_EXIT, st);
    wire_put(&w, "job", "%s", name);
    r->used += wire_end(&w);
    st->announced = true;
    running_let_go(st);
}

// EXIT, after which only a job stays, until Host has it.
static void send_end(struct commands *s, unsigned i, struct room *r)
{
    struct running *st = s->list[i];
    struct wire_writer w;

    if (st->told || (!st->why[0] && !running_has_ended(st)))
        return;
    frame_begin(r, &w, WIRE_EXIT, st);
    put_end(st, &w);
    r->used += wire_end(&w);
    st->told = true;
    if (!st->job)
        commands_kill(s, i);
}

static void send_refused(struct commands *s, struct room *r)
{
    const struct running nobody = {.id = s->refused};
    struct wire_writer w;

    if (!s->refused)
        return;
    frame_begin(r, &w, WIRE_EXIT, &nobody);
    wire_put(&w, "message", "the guest has no room for another command");
    r->used += wire_end(&w);
    s->refused = 0;
}

// One frame of each kind at most. A stream that ends is replaced by another one in its place.
static void send_some(struct commands *s, unsigned i, struct room *r)
{
    struct running *st = s->list[i];

    if (st->id == 0)
        return;
    if (st->job && !st->announced) {
        send_announcement(s, st, r);
        return;
    }
    send_credit(st, r);
    send_output(st, OUT, r);
    if (r->cap - r->used >= WIRE_DATA_FRAME_MAX)
        send_output(st, ERR, r);
    if (r->cap - r->used >= WIRE_DATA_FRAME_MAX)
        send_end(s, i, r);
}

size_t commands_fill(struct commands *s, void *buf, size_t cap, uint32_t nonce)
{
    struct room r = {.buf = buf, .cap = cap, .nonce = nonce};
    unsigned idle = 0;

    if (cap >= WIRE_DATA_FRAME_MAX)
        send_refused(s, &r);
    while (idle < s->count && r.cap - r.used >= WIRE_DATA_FRAME_MAX) {
        size_t before = r.used;
        unsigned count = s->count;

        s->next = s->next < s->count ? s->next : 0;
        send_some(s, s->next, &r);
        if (s->count == count)
            s->next++;
        idle = r.used == before ? idle + 1 : 0;
    }
    return r.used;
}
