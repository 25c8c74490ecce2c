// The QMP client: commands numbered, replies matched, events passed on.
#include "engine/qemu/qmp.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/line.h"

// QEMU reads its monitor at once; one that takes no byte for this long is not coming back.
enum { SEND_MS = 10000 };

struct pending {
    json_int_t id;
    const char *command;
    qmp_reply *reply;
    void *arg;
    TAILQ_ENTRY(pending) link;
};

struct qmp {
    struct bufferevent *io;
    struct qmp_handlers handlers;
    json_int_t next_id;
    json_t *greeting;
    TAILQ_HEAD(, pending) pending;
};

static void answer(struct qmp *q, struct pending *p, const json_t *result, const struct err *why)
{
    TAILQ_REMOVE(&q->pending, p, link);
    if (p->reply)
        p->reply(p->arg, result, why);
    free(p);
}

void qmp_fail(struct qmp *q)
{
    struct err e;
    struct pending *p;
    while ((p = TAILQ_FIRST(&q->pending))) {
        err_set(&e, ERR_NOT_RUNNING, "QEMU: %s: the engine ended", p->command);
        answer(q, p, NULL, &e);
    }
}

static void on_result(struct qmp *q, const json_t *line)
{
    json_int_t id = json_integer_value(json_object_get(line, "id"));
    const json_t *result = json_object_get(line, "return");
    struct pending *p;
    TAILQ_FOREACH(p, &q->pending, link)
        if (p->id == id)
            break;
    if (!p)
        return;
    struct err e;
    if (!result) {
        const char *desc =
            json_string_value(json_object_get(json_object_get(line, "error"), "desc"));
        err_set(&e, ERR_FAILED, "QEMU: %s: %s", p->command, desc ? desc : "unknown error");
    }
    answer(q, p, result, result ? NULL : &e);
}

static void on_capabilities(void *arg, const json_t *result, const struct err *why)
{
    struct qmp *q = arg;
    (void)why;
    if (result)
        q->handlers.ready(q->handlers.arg, q->greeting);
}

static void on_line(struct qmp *q, json_t *line)
{
    const char *event = json_string_value(json_object_get(line, "event"));
    if (json_object_get(line, "QMP") && !q->greeting) {
        q->greeting = json_incref(json_object_get(line, "QMP"));
        qmp_call(q, "qmp_capabilities", NULL, -1, on_capabilities, q);
    } else if (event) {
        q->handlers.event(q->handlers.arg, event, json_object_get(line, "data"));
    } else {
        on_result(q, line);
    }
}

static void on_read(struct bufferevent *io, void *arg)
{
    struct qmp *q = arg;
    json_t *line;
    struct err e;
    enum line_result r;
    while ((r = line_take(bufferevent_get_input(io), &line, &e)) == LINE_OK) {
        on_line(q, line);
        json_decref(line);
    }
    if (r != LINE_NONE) { // QEMU never does; whatever this is, it is not to be talked to
        bufferevent_disable(io, EV_READ);
        qmp_fail(q);
        q->handlers.lost(q->handlers.arg);
    }
}

static void on_end(struct bufferevent *io, short what, void *arg)
{
    (void)what;
    struct qmp *q = arg;
    bufferevent_disable(io, EV_READ);
    qmp_fail(q);
    q->handlers.lost(q->handlers.arg);
}

struct qmp *qmp_new(struct event_base *base, int fd, const struct qmp_handlers *handlers)
{
    struct qmp *q = xcalloc(1, sizeof *q);
    q->handlers = *handlers;
    TAILQ_INIT(&q->pending);
    q->io = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(q->io, on_read, NULL, on_end, q);
    bufferevent_enable(q->io, EV_READ);
    return q;
}

void qmp_free(struct qmp *q)
{
    if (!q)
        return;
    qmp_fail(q);
    bufferevent_free(q->io);
    json_decref(q->greeting);
    free(q);
}

// One sendmsg for the bytes that carry the descriptor, more where the socket took only a part.
static int send_with_fd(int sock, const char *text, size_t n, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    for (size_t at = 0; at < n;) {
        struct iovec iov = {.iov_base = (char *)text + at, .iov_len = n - at};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        if (fd >= 0 && at == 0) {
            msg.msg_control = control.bytes;
            msg.msg_controllen = sizeof control.bytes;
            struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(sizeof fd);
            memcpy(CMSG_DATA(c), &fd, sizeof fd);
        }
        ssize_t w = sendmsg(sock, &msg, MSG_NOSIGNAL);
        struct pollfd p = {.fd = sock, .events = POLLOUT};
        if (w < 0 && errno != EINTR && (errno != EAGAIN || poll(&p, 1, SEND_MS) <= 0))
            return -1;
        at += w > 0 ? (size_t)w : 0;
    }
    return 0;
}

void qmp_call(struct qmp *q, const char *command, json_t *args, int fd, qmp_reply *reply, void *arg)
{
    struct pending *p = xcalloc(1, sizeof *p);
    *p = (struct pending){.id = ++q->next_id, .command = command, .reply = reply, .arg = arg};
    TAILQ_INSERT_TAIL(&q->pending, p, link);
    json_t *line = json_pack("{s:s, s:I}", "execute", command, "id", p->id);
    if (args)
        json_object_set_new(line, "arguments", args);
    AUTO_FREE char *dumped = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    AUTO_FREE char *text = xasprintf("%s\n", dumped);
    if (send_with_fd(bufferevent_getfd(q->io), text, strlen(text), fd) < 0)
        shutdown(bufferevent_getfd(q->io), SHUT_RDWR); // on_end() then answers what is open
}
