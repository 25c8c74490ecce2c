// The daemon's side: records collected, handed over in batches, and never waited for.
#include "vnet/capture/capture.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "proto/unix.h"
#include "vnet/capture/record.h"

enum {
    BATCH = 64 << 10,
    BUFFER = 4 << 20,    // what a process that falls behind is behind at most,
    IN_KERNEL = 1 << 20, // and this, where the system allows it
    START_MS = 60000,    // to read a large file's block headers
    STOP_MS = 5000,
};

struct plug {
    char *name;
    bool told; // the process knows it
    uint32_t lost;
};

struct capture {
    pid_t pid;
    int fd; // -1: the capture has ended
    struct event *readable, *writable;
    bool full; // waits for `writable`
    uint8_t *buffer;
    size_t from, to;
    struct plug *plugs;
    unsigned plug_count;
    char *path;
    struct capture_stats stats;
    struct err error;
    struct capture_hooks hooks;
    char answer[sizeof(struct err)]; // an err_code, a message
    size_t answer_size;
};

// --- the process ---

// What its end says where it said nothing itself.
static void explain_exit(int status, struct err *e)
{
    if (WIFSIGNALED(status))
        err_set(e, ERR_FAILED, "its process was killed by signal %d", WTERMSIG(status));
    else
        err_set(e, ERR_FAILED, "its process ended with %d", WEXITSTATUS(status));
}

// The process has closed its end, so it is gone or about to. 0: it did all it had to do.
static int reap(struct capture *c, struct err *e)
{
    int status = 0;
    pid_t got;
    do
        got = waitpid(c->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    if (c->answer_size > 0)
        err_set(e, (enum err_code)(unsigned char)c->answer[0], "%.*s", (int)c->answer_size - 1,
                c->answer + 1);
    else if (status != 0)
        explain_exit(status, e);
    return c->answer_size > 0 || status != 0 ? -1 : 0;
}

// Reads what the process says, which is shorter than `answer`: true at its end.
static bool hear(struct capture *c)
{
    while (c->answer_size < sizeof c->answer) {
        ssize_t n = read(c->fd, c->answer + c->answer_size, sizeof c->answer - c->answer_size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 || errno != EAGAIN;
        c->answer_size += (size_t)n;
    }
    return true;
}

// Waits for one of `events`; false: not until `deadline`.
static bool wait_for(const struct capture *c, short events, int64_t deadline)
{
    struct pollfd p = {.fd = c->fd, .events = events};
    int64_t left;
    while ((left = deadline - clock_ms()) > 0) {
        int n = poll(&p, 1, (int)left);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
    return false;
}

static int too_slow(struct err *e)
{
    return err_set(e, ERR_TIMEOUT, "the disk takes too long");
}

// 0 once the file is open.
static int wait_ready(struct capture *c, struct err *e)
{
    const int64_t deadline = clock_ms() + START_MS;
    char first;
    if (!wait_for(c, POLLIN, deadline))
        return too_slow(e);
    ssize_t n = recv(c->fd, &first, 1, 0);
    if (n == 1 && first == 0)
        return 0;
    if (n == 1)
        c->answer[c->answer_size++] = first;
    while (!hear(c))
        if (!wait_for(c, POLLIN, deadline))
            return too_slow(e);
    return reap(c, e) < 0 ? -1 : err_set(e, ERR_FAILED, "its process ended at once");
}

static int start_process(struct capture *c, const char *exe, struct err *e)
{
    int ends[2];
    const int size = IN_KERNEL;
    char *const argv[] = {(char *)exe, (char *)"capture", c->path, NULL};
    if (unix_pair(ends, e) < 0)
        return -1;
    AUTO_CLOSE int theirs = ends[1];
    c->fd = ends[0];
    setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    c->pid = spawn(&(struct spawn){.argv = argv,
                                   .in = theirs,
                                   .out = -1,
                                   .err = -1, // or it keeps open what a daemon leaves behind
                                   .cwd_fd = -1,
                                   .new_session = true},
                   e);
    return c->pid < 0 ? -1 : 0;
}

// --- the loop ---

static void close_socket(struct capture *c)
{
    if (c->readable)
        event_free(c->readable);
    if (c->writable)
        event_free(c->writable);
    c->readable = c->writable = NULL;
    if (c->fd >= 0)
        close(TAKE_FD(c->fd));
}

static void fail(struct capture *c, const struct err *why)
{
    close_socket(c);
    c->error = *why;
    err_wrap(&c->error, "cannot capture to %s", c->path);
    c->stats.error = c->error.msg;
    c->hooks.failed(c->hooks.arg, &c->error);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct capture *c = arg;
    struct err e;
    (void)fd;
    (void)what;
    if (!hear(c))
        return;
    if (reap(c, &e) == 0)
        err_set(&e, ERR_FAILED, "its process ended");
    fail(c, &e);
}

// -1: nothing more can be handed over, of which on_readable() will tell the reason.
static int hand_over(struct capture *c)
{
    while (c->from < c->to) {
        ssize_t n = write(c->fd, c->buffer + c->from, c->to - c->from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        c->from += (size_t)n;
    }
    c->from = c->to = 0;
    return 0;
}

static void hand_over_later(struct capture *c)
{
    c->full = hand_over(c) < 0;
    if (c->full && (errno == EAGAIN || errno == EWOULDBLOCK))
        event_add(c->writable, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    hand_over_later(arg);
}

void capture_flush(struct capture *c)
{
    if (c->fd >= 0 && !c->full)
        hand_over_later(c);
}

// --- records ---

static bool make_room(struct capture *c, size_t n)
{
    if (BUFFER - c->to >= n)
        return true;
    if (c->from < BUFFER / 2) // moving less would be done too often
        return false;
    memmove(c->buffer, c->buffer + c->from, c->to - c->from);
    c->to -= c->from;
    c->from = 0;
    return true;
}

// The record goes whole, or not at all.
static bool put(struct capture *c, const struct record *r, const void *body)
{
    if (c->fd < 0 || !make_room(c, sizeof *r + r->size))
        return false;
    memcpy(c->buffer + c->to, r, sizeof *r);
    memcpy(c->buffer + c->to + sizeof *r, body, r->size);
    c->to += sizeof *r + r->size;
    return true;
}

// Where there is no room now, it is told before its first packet.
static bool tell(struct capture *c, unsigned plug, struct plug *p)
{
    const struct record r = {.type = RECORD_INTERFACE,
                             .plug = plug,
                             .drop = -1,
                             .size = (uint32_t)strnlen(p->name, RECORD_NAME_MAX)};
    if (!p->told)
        p->told = put(c, &r, p->name);
    return p->told;
}

// The packets that were lost last, which no packet follows that could say so.
static void tell_lost(struct capture *c, unsigned plug, struct plug *p)
{
    const struct record r = {.type = RECORD_LOST, .plug = plug, .lost = p->lost, .drop = -1};
    if (p->lost > 0 && tell(c, plug, p) && put(c, &r, ""))
        p->lost = 0;
}

void capture_interface(struct capture *c, unsigned plug, const char *name)
{
    if (plug >= RECORD_PLUGS)
        return;
    if (plug >= c->plug_count) {
        c->plugs = xrealloc(c->plugs, (plug + 1) * sizeof *c->plugs);
        memset(c->plugs + c->plug_count, 0, (plug + 1 - c->plug_count) * sizeof *c->plugs);
        c->plug_count = plug + 1;
    }
    struct plug *p = &c->plugs[plug];
    tell_lost(c, plug, p);
    free(p->name);
    *p = (struct plug){.name = xstrdup(name)};
    tell(c, plug, p);
}

static struct plug *find_plug(struct capture *c, unsigned plug)
{
    return plug < c->plug_count && c->plugs[plug].name ? &c->plugs[plug] : NULL;
}

static void count(struct capture *c, struct plug *p, bool taken, size_t n)
{
    if (p)
        p->lost = taken ? 0 : p->lost + 1;
    c->stats.lost += !taken;
    c->stats.packets += taken;
    c->stats.bytes += taken ? n : 0;
}

void capture_packet(struct capture *c, uint64_t wall, unsigned plug, enum vnet_direction direction,
                    int drop, const uint8_t *frame, size_t n)
{
    struct plug *p = find_plug(c, plug);
    const struct record r = {.wall = wall,
                             .size = (uint32_t)(n < VNET_FRAME_MAX ? n : VNET_FRAME_MAX),
                             .length = (uint32_t)n,
                             .plug = plug,
                             .lost = p ? p->lost : 0,
                             .drop = drop,
                             .type = RECORD_PACKET,
                             .direction = direction};
    count(c, p, p && tell(c, plug, p) && put(c, &r, frame), n);
    if (c->to - c->from >= BATCH)
        capture_flush(c);
}

void capture_get_stats(const struct capture *c, struct capture_stats *out)
{
    *out = c->stats;
}

// --- beginning and end ---

static void capture_free(struct capture *c)
{
    close_socket(c);
    for (unsigned i = 0; i < c->plug_count; i++)
        free(c->plugs[i].name);
    free(c->plugs);
    free(c->buffer);
    free(c->path);
    free(c);
}

struct capture *capture_start(struct event_base *base, const char *exe, const char *path,
                              const struct capture_hooks *hooks, struct err *e)
{
    struct capture *c = xcalloc(1, sizeof *c);
    c->fd = -1;
    c->hooks = *hooks;
    c->path = xstrdup(path);
    c->stats.path = c->path;
    if (start_process(c, exe, e) < 0 || wait_ready(c, e) < 0) {
        err_wrap(e, "cannot capture to %s", path);
        capture_free(c);
        return NULL;
    }
    c->buffer = xcalloc(1, BUFFER);
    c->readable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(base, c->fd, EV_WRITE, on_writable, c);
    event_add(c->readable, NULL);
    return c;
}

// A process that is gone is none that is slow: reap() knows why.
static int drain(struct capture *c, int64_t deadline, struct err *e)
{
    while (hand_over(c) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        if (!wait_for(c, POLLOUT, deadline))
            return too_slow(e);
    return 0;
}

static int finish(struct capture *c, int64_t deadline, struct err *e)
{
    if (drain(c, deadline, e) < 0)
        return -1;
    for (unsigned i = 0; i < c->plug_count; i++)
        tell_lost(c, i, &c->plugs[i]);
    if (drain(c, deadline, e) < 0)
        return -1;
    shutdown(c->fd, SHUT_WR);
    while (!hear(c))
        if (!wait_for(c, POLLIN, deadline))
            return too_slow(e);
    return reap(c, e);
}

int capture_stop(struct capture *c, struct err *e)
{
    int result = -1;
    if (c->fd < 0)
        *e = c->error;
    else if ((result = finish(c, clock_ms() + STOP_MS, e)) < 0)
        err_wrap(e, "cannot capture to %s", c->path);
    capture_free(c);
    return result;
}
