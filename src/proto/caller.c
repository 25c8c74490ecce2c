// Requests that wait for their answers, over a bufferevent.
#include "proto/caller.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/line.h"
#include "proto/unix.h"

struct pending {
    json_int_t id;
    const char *what;
    caller_reply *reply;
    void *arg;
    TAILQ_ENTRY(pending) link;
};

struct caller {
    struct bufferevent *io;
    struct caller_handlers handlers;
    json_int_t next_id;
    TAILQ_HEAD(, pending) pending;
};

static void answer(struct caller *c, struct pending *p, const json_t *result, const struct err *why)
{
    TAILQ_REMOVE(&c->pending, p, link);
    if (p->reply)
        p->reply(p->arg, result, why);
    free(p);
}

void caller_fail(struct caller *c)
{
    struct err e;
    struct pending *p;
    while ((p = TAILQ_FIRST(&c->pending))) {
        err_set(&e, ERR_NOT_RUNNING, "%s ended before it answered '%s'", c->handlers.who, p->what);
        answer(c, p, NULL, &e);
    }
}

static void on_line(struct caller *c, const json_t *line)
{
    struct err e;
    struct pending *p;
    const json_t *id = json_object_get(line, "id");
    if (!id) {
        c->handlers.line(c->handlers.arg, line);
        return;
    }
    TAILQ_FOREACH(p, &c->pending, link)
        if (p->id == json_integer_value(id))
            break;
    if (!p)
        return;
    const json_t *result = c->handlers.unpack(line, p->what, &e);
    answer(c, p, result, result ? NULL : &e);
}

static void lose(struct caller *c)
{
    bufferevent_disable(c->io, EV_READ);
    caller_fail(c);
    c->handlers.lost(c->handlers.arg);
}

static void on_read(struct bufferevent *io, void *arg)
{
    struct caller *c = arg;
    json_t *line;
    struct err e;
    enum line_result r;
    while ((r = line_take(bufferevent_get_input(io), &line, &e)) == LINE_OK) {
        on_line(c, line);
        json_decref(line);
    }
    if (r != LINE_NONE) // whatever this is, it is not to be talked to
        lose(c);
}

static void on_end(struct bufferevent *io, short what, void *arg)
{
    (void)io;
    (void)what;
    lose(arg);
}

struct caller *caller_new(struct event_base *base, int fd, const struct caller_handlers *handlers)
{
    struct caller *c = xcalloc(1, sizeof *c);
    c->handlers = *handlers;
    TAILQ_INIT(&c->pending);
    c->io = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(c->io, on_read, NULL, on_end, c);
    bufferevent_enable(c->io, EV_READ);
    return c;
}

void caller_free(struct caller *c)
{
    if (!c)
        return;
    caller_fail(c);
    bufferevent_free(c->io);
    free(c);
}

void caller_send(struct caller *c, const char *what, json_t *request, int fd, caller_reply *reply,
                 void *arg)
{
    struct pending *p = xcalloc(1, sizeof *p);
    *p = (struct pending){.id = ++c->next_id, .what = what, .reply = reply, .arg = arg};
    TAILQ_INSERT_TAIL(&c->pending, p, link);
    json_object_set_new(request, "id", json_integer(p->id));
    AUTO_FREE char *text = line_text(request);
    json_decref(request);
    int sock = bufferevent_getfd(c->io);
    if (unix_send(sock, text, strlen(text), &fd, fd >= 0) < 0)
        shutdown(sock, SHUT_RDWR); // on_end() then answers what is open
}
