// Clients of the control socket: lines in, verbs out of a table, answers and events back.
#include "proto/server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/line.h"
#include "proto/unix.h"

// A client that does not read what it asked for is let go: on_end() comes.
enum { OUTPUT_MAX = 8 << 20, FLUSH_MS = 200 };

struct client {
    struct server *server;
    struct bufferevent *io;
    bool wants_events;
    LIST_ENTRY(client) link;
};

struct request {
    struct client *client; // NULL once it went away
    json_t *id;
    LIST_ENTRY(request) link;
};

struct server {
    struct event_base *base;
    struct evconnlistener *listener;
    char *path;
    json_t *hello;
    const struct verb *verbs;
    void *arg;
    LIST_HEAD(, client) clients;
    LIST_HEAD(, request) requests;
};

static void client_free(struct client *c)
{
    struct request *rq;
    LIST_FOREACH(rq, &c->server->requests, link)
        if (rq->client == c)
            rq->client = NULL;
    LIST_REMOVE(c, link);
    bufferevent_free(c->io);
    free(c);
}

static void send_line(struct client *c, const json_t *line)
{
    struct evbuffer *out = bufferevent_get_output(c->io);
    if (evbuffer_get_length(out) < OUTPUT_MAX)
        line_put(out, line);
    else
        shutdown(bufferevent_getfd(c->io), SHUT_RDWR);
}

static void request_end(struct request *rq, json_t *answer)
{
    if (rq->client)
        send_line(rq->client, answer);
    json_decref(answer);
    LIST_REMOVE(rq, link);
    json_decref(rq->id);
    free(rq);
}

void request_ok(struct request *rq, json_t *ok)
{
    request_end(rq, line_answer_ok(rq->id, ok));
}

void request_error(struct request *rq, const struct err *why)
{
    request_end(rq, line_answer_error(rq->id, why));
}

static const struct verb *find_verb(const struct server *s, const char *name)
{
    for (const struct verb *v = s->verbs; v->name; v++)
        if (name && strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

static void dispatch(struct client *c, const json_t *line)
{
    struct server *s = c->server;
    struct request *rq = xcalloc(1, sizeof *rq);
    rq->client = c;
    rq->id = json_incref(json_object_get(line, "id"));
    LIST_INSERT_HEAD(&s->requests, rq, link);
    const char *name = json_string_value(json_object_get(line, "verb"));
    const json_t *args = json_object_get(line, "args");
    const struct verb *verb = find_verb(s, name);
    struct err e;
    if (args && !json_is_object(args)) {
        err_set(&e, ERR_USAGE, "\"args\" is not an object");
        request_error(rq, &e);
    } else if (name && strcmp(name, "events") == 0) {
        c->wants_events = true;
        request_ok(rq, NULL);
    } else if (!verb) {
        err_set(&e, ERR_USAGE, "unknown verb '%.80s'", name ? name : "");
        request_error(rq, &e);
    } else {
        verb->handle(s->arg, rq, args);
    }
}

static void on_end(struct bufferevent *io, short what, void *arg)
{
    (void)io;
    (void)what;
    client_free(arg);
}

static void on_said_why(struct bufferevent *io, void *arg)
{
    (void)io;
    client_free(arg);
}

static void on_read(struct bufferevent *io, void *arg)
{
    struct client *c = arg;
    struct evbuffer *in = bufferevent_get_input(io);
    for (;;) {
        json_t *line;
        struct err e;
        enum line_result r = line_take(in, &line, &e);
        if (r == LINE_NONE)
            return;
        if (r == LINE_OK) {
            dispatch(c, line);
            json_decref(line);
            continue;
        }
        json_t *answer = line_answer_error(NULL, &e);
        send_line(c, answer);
        json_decref(answer);
        if (r == LINE_TOO_LONG) { // there is no telling where the next line begins
            bufferevent_disable(io, EV_READ);
            bufferevent_setcb(io, NULL, on_said_why, on_end, c);
            return;
        }
    }
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len,
                      void *arg)
{
    (void)l;
    (void)addr;
    (void)len;
    struct server *s = arg;
    if (!unix_peer_allowed(fd)) {
        close(fd);
        return;
    }
    struct client *c = xcalloc(1, sizeof *c);
    c->server = s;
    c->io = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
    LIST_INSERT_HEAD(&s->clients, c, link);
    bufferevent_setcb(c->io, on_read, NULL, on_end, c);
    bufferevent_enable(c->io, EV_READ | EV_WRITE);
    send_line(c, s->hello);
}

struct server *server_new(struct event_base *base, const char *path, json_t *hello,
                          const struct verb *verbs, void *arg, struct err *e)
{
    int fd = unix_listen(path, e);
    if (fd < 0) {
        json_decref(hello);
        return NULL;
    }
    struct server *s = xcalloc(1, sizeof *s);
    *s = (struct server){
        .base = base, .path = xstrdup(path), .hello = hello, .verbs = verbs, .arg = arg};
    s->listener = evconnlistener_new(base, on_accept, s,
                                     LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    return s;
}

void server_event(struct server *s, json_t *event)
{
    struct client *c;
    LIST_FOREACH(c, &s->clients, link)
        if (c->wants_events)
            send_line(c, event);
    json_decref(event);
}

// The last answers ("stopped") must arrive although the process is about to end.
static void flush(struct client *c)
{
    struct evbuffer *out = bufferevent_get_output(c->io);
    struct pollfd p = {.fd = bufferevent_getfd(c->io), .events = POLLOUT};
    bufferevent_disable(c->io, EV_READ | EV_WRITE);
    evbuffer_unfreeze(out, 1); // a bufferevent keeps others from draining its output
    while (evbuffer_get_length(out) > 0 && poll(&p, 1, FLUSH_MS) > 0)
        if (evbuffer_write(out, p.fd) <= 0)
            return;
}

void server_retire(struct server *s)
{
    if (s->listener) {
        evconnlistener_free(s->listener);
        unlink(s->path);
    }
    s->listener = NULL;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    server_retire(s);
    struct client *c;
    while ((c = LIST_FIRST(&s->clients))) {
        flush(c);
        client_free(c);
    }
    struct request *rq;
    while ((rq = LIST_FIRST(&s->requests))) {
        LIST_REMOVE(rq, link);
        json_decref(rq->id);
        free(rq);
    }
    json_decref(s->hello);
    free(s->path);
    free(s);
}
