// The guest's side of a copy. Whatever we wait for, its errors are read meanwhile: they must not
// hold it up.
#include "cli/peer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/interrupt.h"
#include "proto/unix.h"

enum {
    LOOK_MS = 500,       // a signal that comes just before poll() is seen then
    FAREWELL_MS = 10000, // for the end of a command whose stream has failed
};

// The agent is the command: whoever starts a command there is the agent itself, until it becomes
// it.
static const char agent[] = "/proc/self/exe";

int peer_start(struct peer *p, const char *const words[3], const char *user, struct err *e)
{
    int io[2];
    int err[2];
    json_t *args = json_pack("{s:[s, s, s, s*], s:s*}", "argv", agent, words[0], words[1], words[2],
                             "user", user);
    p->io = p->err = -1;
    if (!args)
        return err_set(e, ERR_USAGE, "the path is not UTF-8");
    if (unix_pair(io, e) < 0 || unix_pair(err, e) < 0) {
        json_decref(args);
        return -1;
    }
    p->request = client_send(p->conn, "exec", args, (const int[]){io[1], err[1]}, 2, e);
    close(io[1]);
    close(err[1]);
    p->io = io[0];
    p->err = err[0];
    return p->request < 0 ? -1 : 0;
}

void peer_close(struct peer *p)
{
    if (p->io >= 0)
        close(p->io);
    if (p->err >= 0)
        close(p->err);
    p->io = p->err = -1;
}

// --- waiting ---

// What does not fit is not shown.
static void take_errors(struct peer *p)
{
    char text[512];
    ssize_t n = read(p->err, text, sizeof text);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            close(p->err);
            p->err = -1;
        }
        return;
    }
    size_t room = sizeof p->said - 1 - p->said_size;
    size_t keep = (size_t)n < room ? (size_t)n : room;
    memcpy(p->said + p->said_size, text, keep);
    p->said_size += keep;
}

static int check_time(const struct peer *p, int64_t *left, struct err *e)
{
    *left = p->deadline < 0 ? LOOK_MS : p->deadline - clock_ms();
    *left = *left < LOOK_MS ? *left : LOOK_MS;
    if (interrupt_check(e) < 0)
        return -1;
    return *left > 0 ? 0 : err_set(e, ERR_TIMEOUT, "it did not end in time");
}

// Until something may be read from, or written to, the stream (or a connection), or for a while.
static int await(struct peer *p, int fd, short events, struct err *e)
{
    struct pollfd set[] = {{.fd = fd, .events = events}, {.fd = p->err, .events = POLLIN}};
    int64_t left;
    if (check_time(p, &left, e) < 0)
        return -1;
    if (poll(set, 2, (int)left) < 0 && errno != EINTR)
        return err_sys(e, "cannot wait for the guest");
    if (p->err >= 0 && set[1].revents)
        take_errors(p);
    return 0;
}

static ssize_t read_stream(void *arg, void *to, size_t n, struct err *e)
{
    struct peer *p = arg;
    for (;;) {
        ssize_t got = read(p->io, to, n);
        if (got > 0)
            return got;
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (await(p, p->io, POLLIN, e) < 0)
                return -1;
            continue;
        }
        p->ended = true;
        return 0;
    }
}

static int write_stream(void *arg, const void *data, size_t n, struct err *e)
{
    struct peer *p = arg;
    const char *at = data;
    while (n > 0) {
        ssize_t w = write(p->io, at, n);
        if (w > 0) {
            at += w;
            n -= (size_t)w;
        } else if (errno == EAGAIN || errno == EINTR) {
            if (await(p, p->io, POLLOUT, e) < 0)
                return -1;
        } else {
            p->ended = true;
            return err_set(e, ERR_FAILED, "the guest's side ended too early");
        }
    }
    return 0;
}

struct tree_io peer_io(struct peer *p)
{
    return (struct tree_io){.read = read_stream, .write = write_stream, .arg = p};
}

// --- the end ---

// Its output is to be read, or it does not end.
static void discard(struct peer *p)
{
    char bytes[4096];
    ssize_t n;
    while ((n = read(p->io, bytes, sizeof bytes)) > 0)
        ;
    p->ended = n == 0 || (errno != EAGAIN && errno != EINTR);
}

static int judge(struct peer *p, const json_t *answer, struct err *e)
{
    const char *message = json_string_value(json_object_get(answer, "message"));
    json_int_t code = json_integer_value(json_object_get(answer, "code"));
    while (p->err >= 0 && poll(&(struct pollfd){.fd = p->err, .events = POLLIN}, 1, 0) > 0)
        take_errors(p);
    p->said[p->said_size] = 0;
    p->said[strcspn(p->said, "\n")] = 0;
    if (code == 0)
        return 0;
    if (code == ERR_USAGE) // it knows nothing of copies
        return err_set(e, ERR_FAILED,
                       "the guest's agent is too old to copy: put a newer tailmac-agent into the "
                       "guest");
    if (message || p->said[0])
        return err_set(e, ERR_FAILED, "in the guest: %s", message ? message : p->said);
    return err_set(e, ERR_FAILED, "the guest's side ended with %d", (int)code);
}

int peer_finish(struct peer *p, bool *gone, struct err *e)
{
    json_t *answer = NULL;
    int got = 0;
    if (p->ended && (p->deadline < 0 || p->deadline > clock_ms() + FAREWELL_MS))
        p->deadline = clock_ms() + FAREWELL_MS;
    shutdown(p->io, SHUT_WR);
    while (got == 0) {
        struct pollfd readable = {.fd = client_fd(p->conn), .events = POLLIN};
        discard(p);
        if (await(p, readable.fd, POLLIN, e) < 0)
            return -1;
        if (poll(&readable, 1, 0) > 0)
            got = client_answer(p->conn, p->request, &answer, gone, e);
    }
    int result = got < 0 ? -1 : judge(p, answer, e);
    json_decref(answer);
    return result;
}
