// The agent's side of the protocol: the table of requests, READY and INFO.
#include "agent/session.h"

#include "agent/load.h"
#include "agent/mac.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef AGENT_VERSION
#define AGENT_VERSION "0"
#endif

#define ID_MAX 64
#define WHY_MAX 256

void session_init(struct session *s)
{
    memset(s, 0, sizeof *s);
    commands_init(&s->commands);
    session_reset(s);
}

void session_reset(struct session *s)
{
    s->nonce = 0;
    s->out_len = 0;
    commands_end(&s->commands);
    wire_decoder_init(&s->in, s->in_buf, sizeof s->in_buf);
}

void session_sent(struct session *s, size_t n)
{
    s->out_len -= n;
    memmove(s->out, s->out + n, s->out_len);
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
    wire_put(w, "can", "exec");
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

static void send_answer(struct session *s, unsigned to, const char *id, const char *why)
{
    struct wire_writer w;

    frame_begin(s, &w, why ? WIRE_ERROR : WIRE_OK);
    wire_put(&w, "id", "%s", id);
    if (why)
        wire_put(&w, "message", "%s", why);
    else if (to == WIRE_LOOK)
        put_load(&w);
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

// --- requests: 0, or -1 with the reason in why ---

static int fail(char why[static WHY_MAX], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static int fail(char why[static WHY_MAX], const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, WHY_MAX, fmt, ap);
    va_end(ap);
    return -1;
}

static int get_mac(const struct wire_frame *f, const char *key, uint8_t mac[6],
                   char why[static WHY_MAX])
{
    char text[32];

    if (wire_get(f, key, text, sizeof text) < 0 || mac_from_text(text, mac) != 0)
        return fail(why, "%s: not a MAC address", key);
    return 0;
}

static int do_set_mac(const struct wire_frame *f, char why[static WHY_MAX])
{
    static const uint8_t none[6];
    const struct nic *nic;
    struct nics nics;
    uint8_t from[6], to[6];
    char text[MAC_TEXT_SIZE];

    if (get_mac(f, "from", from, why) != 0 || get_mac(f, "to", to, why) != 0)
        return -1;
    if ((to[0] & 1) || !memcmp(to, none, sizeof to))
        return fail(why, "%s: not the address of one station", mac_to_text(to, text));
    if (nics_read(&nics) != 0)
        return fail(why, "cannot list network interfaces: %s", strerror(errno));
    // Done already: Host may have to ask twice when an answer got lost.
    if (nics_by_mac(&nics, to))
        return 0;
    nic = nics_by_mac(&nics, from);
    if (!nic)
        return fail(why, "no network interface has the MAC %s", mac_to_text(from, text));
    if (mac_change(nic, to) != 0)
        return fail(why, "cannot change the MAC of %s: %s", nic->name, strerror(errno));
    return 0;
}

// A guest that was saved has slept without noticing: its clock stands where it stood.
static int do_set_clock(const struct wire_frame *f, char why[static WHY_MAX])
{
    char text[40];
    long long seconds;
    long nanoseconds;

    if (wire_get(f, "time", text, sizeof text) < 0 ||
        sscanf(text, "%lld.%9ld", &seconds, &nanoseconds) != 2 || seconds < 0 || nanoseconds < 0)
        return fail(why, "time: not seconds.nanoseconds");
    if (clock_settime(CLOCK_REALTIME, &(struct timespec){seconds, nanoseconds}) != 0)
        return fail(why, "cannot set the clock: %s", strerror(errno));
    return 0;
}

// What there is to see is in the answer.
static int do_look(const struct wire_frame *f, char why[static WHY_MAX])
{
    (void)f;
    (void)why;
    return 0;
}

static const struct request {
    enum wire_type type;
    int (*perform)(const struct wire_frame *f, char why[static WHY_MAX]);
} requests[] = {
    {WIRE_SET_MAC, do_set_mac},
    {WIRE_SET_CLOCK, do_set_clock},
    {WIRE_LOOK, do_look},
};

static int perform(const struct wire_frame *f, char why[static WHY_MAX])
{
    if (f->version != WIRE_VERSION)
        return fail(why, "version %u is not spoken here", f->version);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        if (requests[i].type == f->type)
            return requests[i].perform(f, why);
    return fail(why, "unknown request type %u", f->type);
}

// --- frames in ---

static void greet(struct session *s, uint32_t nonce)
{
    // Answers to an earlier session would only be dropped. A frame half sent is cut by this,
    // which the decoder at the other end notices.
    if (s->nonce != nonce) {
        s->out_len = 0;
        commands_end(&s->commands);
    }
    s->nonce = nonce;
    if (nics_read(&s->told) != 0)
        fprintf(stderr, "tailmac-agent: cannot list network interfaces: %m\n");
    send_facts(s, WIRE_READY);
}

static void dispatch(struct session *s, const struct wire_frame *f)
{
    char id[ID_MAX] = "", why[WHY_MAX] = "";
    int rc;

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
    if (f->version == WIRE_VERSION && commands_frame(&s->commands, f))
        return;
    wire_get(f, "id", id, sizeof id);
    rc = perform(f, why);
    // What a request changed is known before it counts as done.
    if (rc == 0 && session_nics_changed(s) != 0)
        fprintf(stderr, "tailmac-agent: changed NICs are told later\n");
    send_answer(s, f->type, id, rc == 0 ? NULL : why);
}

void session_work(struct session *s)
{
    struct wire_frame f;

    while (!session_is_full(s) && wire_next(&s->in, &f))
        dispatch(s, &f);
}
