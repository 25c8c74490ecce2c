// The agent's side of the protocol: the table of requests, READY and INFO.
#include "agent/session.h"

#include "agent/clock.h"
#include "agent/load.h"
#include "agent/mac.h"
#include "agent/set.h"
#include "agent/why.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef AGENT_VERSION
#define AGENT_VERSION "0"
#endif

#define ID_MAX 64

void session_init(struct session *s)
{
    memset(s, 0, sizeof *s);
    commands_init(&s->commands);
    session_reset(s);
}

void session_reset(struct session *s)
{
    s->nonce = 0;
    s->told.count = 0; // changes go unheard from here on
    s->out_len = 0;
    commands_end(&s->commands);
    kept_close(&s->kept);
    wire_decoder_init(&s->in, s->in_buf, sizeof s->in_buf);
}

void session_sent(struct session *s, size_t n)
{
    s->out_len -= n;
    memmove(s->out, s->out + n, s->out_len);
    if (s->out_len || !s->unlogged)
        return;
    s->unlogged = false;
    set_log(&s->report);
}

// --- frames out ---

static void frame_begin(struct session *s, struct wire_writer *w, enum wire_type type)
{
    wire_begin(w, s->out + s->out_len, sizeof s->out - s->out_len, type, s->nonce);
}

static void frame_end(struct session *s, struct wire_writer *w)
{
    size_t n = wire_end(w);

    if (!n)
        fprintf(stderr, "tailmac-agent: no room for %s\n", wire_type_name(w->type));
    s->out_len += n;
}

static void put_uptime(struct wire_writer *w)
{
    struct timespec up;

    clock_gettime(CLOCK_BOOTTIME, &up);
    wire_put(w, "uptime", "%lld.%03ld", (long long)up.tv_sec, up.tv_nsec / 1000000);
}

static void put_load(struct wire_writer *w)
{
    struct load load;

    put_uptime(w);
    if (load_read(&load) != 0)
        return;
    wire_put(w, "load", "%.2f", load.minute);
    wire_put(w, "memory-total", "%lld", (long long)load.memory_total);
    wire_put(w, "memory-available", "%lld", (long long)load.memory_available);
}

static void put_facts(struct wire_writer *w, const struct nics *nics)
{
    char host[65] = "", nic[NIC_TEXT_MAX];

    gethostname(host, sizeof host - 1);
    // The kernel takes any byte in a host name; the wire does not.
    host[strcspn(host, "\n")] = '\0';
    wire_put(w, "version", "%d", WIRE_VERSION);
    wire_put(w, "agent", "%s", AGENT_VERSION);
    wire_put(w, "can", "exec set announce");
    wire_put(w, "hostname", "%s", host);
    put_uptime(w);
    for (unsigned i = 0; i < nics->count; i++) {
        nic_format(&nics->list[i], nic);
        wire_put(w, "nic", "%s", nic);
    }
}

static void send_facts(struct session *s, enum wire_type type)
{
    struct wire_writer w;

    frame_begin(s, &w, type);
    put_facts(&w, &s->told);
    frame_end(s, &w);
}

bool session_is_full(const struct session *s)
{
    return sizeof s->out - s->out_len < WIRE_FRAME_MAX;
}

void session_announce(struct session *s)
{
    struct wire_writer w;

    wire_begin(&w, s->out, sizeof s->out, WIRE_STARTED, 1);
    frame_end(s, &w);
}

void session_fill(struct session *s)
{
    size_t room = sizeof s->out - s->out_len;

    if (s->nonce && room > WIRE_FRAME_MAX)
        s->out_len +=
            commands_fill(&s->commands, s->out + s->out_len, room - WIRE_FRAME_MAX, s->nonce);
}

int session_nics_changed(struct session *s)
{
    struct nics now;

    mac_follow(&s->former);
    if (!s->nonce)
        return 0;
    if (session_is_full(s) || nics_read(&now) != 0)
        return -1;
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): padding is zero (nics.h)
    if (!memcmp(&now, &s->told, sizeof now))
        return 0;
    s->told = now;
    send_facts(s, WIRE_INFO);
    return 0;
}

// --- requests: 0, or -1 with the reason ---

static int do_set_mac(struct session *s, const struct wire_frame *f, char why[static WHY_MAX])
{
    char from[MAC_TEXT_SIZE], to[MAC_TEXT_SIZE];

    wire_get(f, "from", from, sizeof from);
    wire_get(f, "to", to, sizeof to);
    return mac_set(&s->kept, from, to, &s->told, &s->former, why);
}

static int do_set_clock(struct session *s, const struct wire_frame *f, char why[static WHY_MAX])
{
    (void)s;
    char time[40];

    wire_get(f, "time", time, sizeof time);
    return clock_set(time, why);
}

static int do_set(struct session *s, const struct wire_frame *f, char why[static WHY_MAX])
{
    const struct set_context context = {.known = &s->told, .former = &s->former, .kept = &s->kept};

    // Its log waits for the answer to be on its way, for which a fork waits.
    s->unlogged = set_perform(f, &context, &s->report, why) == 0;
    return s->unlogged ? 0 : -1;
}

// What there is to see is in the answer.
static int do_look(struct session *s, const struct wire_frame *f, char why[static WHY_MAX])
{
    (void)s;
    (void)f;
    (void)why;
    return 0;
}

static const struct request {
    enum wire_type type;
    int (*perform)(struct session *s, const struct wire_frame *f, char why[static WHY_MAX]);
} requests[] = {
    {WIRE_SET_MAC, do_set_mac},
    {WIRE_SET_CLOCK, do_set_clock},
    {WIRE_LOOK, do_look},
    {WIRE_SET, do_set},
};

static int perform(struct session *s, const struct wire_frame *f, char why[static WHY_MAX])
{
    if (f->version != WIRE_VERSION)
        return why_not(why, "version %u is not spoken here", f->version);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        if (requests[i].type == f->type)
            return requests[i].perform(s, f, why);
    return why_not(why, "unknown request type %u", f->type);
}

// --- frames in ---

// why: NULL when it was done.
static void send_answer(struct session *s, unsigned to, const char *id, const char *why)
{
    struct wire_writer w;

    frame_begin(s, &w, why ? WIRE_ERROR : WIRE_OK);
    wire_put(&w, "id", "%s", id);
    if (why)
        wire_put(&w, "message", "%s", why);
    else if (to == WIRE_LOOK)
        put_load(&w);
    else if (to == WIRE_SET)
        set_answer(&s->report, &w);
    frame_end(s, &w);
}

static void greet(struct session *s, uint32_t nonce)
{
    // Answers to an earlier session would only be dropped. A frame half sent is cut by this,
    // which the decoder at the other end notices.
    if (s->nonce != nonce) {
        s->out_len = 0;
        commands_end(&s->commands);
    }
    s->nonce = nonce;
    // A guest that goes on knows them: an event tells of what has changed meanwhile.
    if (s->told.count == 0 && nics_read(&s->told) != 0)
        fprintf(stderr, "tailmac-agent: cannot list network interfaces: %m\n");
    send_facts(s, WIRE_READY);
}

static bool has(const struct wire_frame *f, const char *key)
{
    return wire_get(f, key, NULL, 0) != -1;
}

// What a request changed is known before it counts as done. Without a look at all NICs where that
// can be: it takes a guest that was just restored as long as everything else.
static void tell_changes(struct session *s, const struct wire_frame *f)
{
    if (s->former.count > 0)
        send_facts(s, WIRE_INFO);
    if ((f->type == WIRE_LOOK || has(f, "address")) && session_nics_changed(s) != 0)
        fprintf(stderr, "tailmac-agent: changed NICs are told later\n");
}

static void answer(struct session *s, const struct wire_frame *f)
{
    char id[ID_MAX] = "", why[WHY_MAX];
    bool done = perform(s, f, why) == 0;

    wire_get(f, "id", id, sizeof id);
    if (done)
        tell_changes(s, f);
    send_answer(s, f->type, id, done ? NULL : why);
}

static void dispatch(struct session *s, const struct wire_frame *f)
{
    if (f->type == WIRE_HELLO && f->version == WIRE_VERSION) {
        greet(s, f->nonce);
        return;
    }
    // HELLO of a version that is not ours is answered under its nonce, so that Host can tell.
    if (f->type == WIRE_HELLO) {
        commands_end(&s->commands);
        s->nonce = f->nonce;
    }
    if (f->nonce != s->nonce)
        return;
    if (f->version != WIRE_VERSION || !commands_frame(&s->commands, f))
        answer(s, f);
}

void session_work(struct session *s)
{
    struct wire_frame f;

    while (!session_is_full(s) && wire_next(&s->in, &f))
        dispatch(s, &f);
}
