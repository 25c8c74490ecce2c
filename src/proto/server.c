// Clients of the control socket: lines in, verbs out of a table, answers and events back.
#include "proto/server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proto/fds.h"
#include "proto/line.h"
#include "proto/listener.h"

// A client that does not read what it asked for is let go: its next read finds the end.
// Whoever comes when there are too many waits until one ends: each may have descriptors in flight.
enum {
    INPUT_AT_ONCE = 16 << 10,
    OUTPUT_MAX = 8 << 20,
    CLIENTS_MAX = 400, // where nobody wants more
    FLUSH_MS = 200,    // for one that does not read, at the end
    END_MS = 2000,     // for all of them
};

// Not a bufferevent, which would lose the descriptors that come with lines.
struct client {
    struct server *server;
    uint64_t number;
    int fd;
    struct evbuffer *in, *out;
    struct event *readable, *writable; // the second is pending while there is something to write
    struct fds fds;                    // came with lines that are not answered yet
    bool wants_events;
    bool last_words; // nothing is read any more, and it ends when all is written
    LIST_ENTRY(client) link;
};

struct request {
    struct client *client; // NULL once it went away
    json_t *id;
    LIST_ENTRY(request) link;
};

struct server {
    struct event_base *base;
    struct listener *listener; // NULL: retired
    json_t *hello;
    const struct verb *verbs;
    void *arg;
    void (*client_ended)(void *arg, uint64_t client); // NULL: nobody asks
    uint64_t last_client;
    unsigned client_count, client_max;
    LIST_HEAD(, client) clients;
    LIST_HEAD(, request) requests;
};

static void client_free(struct client *c)
{
    struct server *s = c->server;
    uint64_t number = c->number;
    struct request *rq;
    LIST_FOREACH(rq, &s->requests, link)
        if (rq->client == c)
            rq->client = NULL;
    LIST_REMOVE(c, link);
    if (s->client_count-- == s->client_max && s->listener)
        listener_pause(s->listener, false);
    event_free(c->readable);
    event_free(c->writable);
    evbuffer_free(c->in);
    evbuffer_free(c->out);
    fds_close(&c->fds);
    close(c->fd);
    free(c);
    if (s->client_ended)
        s->client_ended(s->arg, number);
}

static void send_line(struct client *c, const json_t *line)
{
    if (evbuffer_get_length(c->out) < OUTPUT_MAX) {
        line_put(c->out, line);
        event_add(c->writable, NULL);
    } else {
        shutdown(c->fd, SHUT_RDWR);
    }
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

int request_take_fd(struct request *rq)
{
    return rq->client ? fds_take(&rq->client->fds) : -1;
}

uint64_t request_client(const struct request *rq)
{
    return rq->client ? rq->client->number : 0;
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

static void take_lines(struct client *c)
{
    for (;;) {
        json_t *line;
        struct err e;
        enum line_result r = line_take(c->in, &line, &e);
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
            event_del(c->readable);
            c->last_words = true;
            return;
        }
    }
}

static bool try_again(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct client *c = arg;
    char bytes[INPUT_AT_ONCE];
    ssize_t n = fds_receive(fd, bytes, sizeof bytes, &c->fds);
    if (n < 0 && try_again())
        return;
    if (n <= 0) {
        client_free(c);
        return;
    }
    evbuffer_add(c->in, bytes, (size_t)n);
    take_lines(c);
    // Not line by line: one of several that were read at once may be the descriptor's, and so may
    // one that is not whole yet.
    if (evbuffer_get_length(c->in) == 0 || c->last_words)
        fds_close(&c->fds);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct client *c = arg;
    bool failed = evbuffer_write(c->out, fd) < 0 && !try_again();
    bool done = evbuffer_get_length(c->out) == 0;
    if (failed || (done && c->last_words))
        client_free(c);
    else if (!done)
        event_add(c->writable, NULL);
}

static void on_accept(void *arg, int fd)
{
    struct server *s = arg;
    struct client *c = xcalloc(1, sizeof *c);
    *c = (struct client){.server = s,
                         .number = ++s->last_client,
                         .fd = fd,
                         .in = evbuffer_new(),
                         .out = evbuffer_new(),
                         .readable = event_new(s->base, fd, EV_READ | EV_PERSIST, on_readable, c),
                         .writable = event_new(s->base, fd, EV_WRITE, on_writable, c)};
    LIST_INSERT_HEAD(&s->clients, c, link);
    if (++s->client_count == s->client_max)
        listener_pause(s->listener, true);
    event_add(c->readable, NULL);
    send_line(c, s->hello);
}

struct server *server_new(struct event_base *base, const char *path, json_t *hello,
                          const struct verb *verbs, void *arg, struct err *e)
{
    struct server *s = xcalloc(1, sizeof *s);
    *s = (struct server){.base = base, .hello = hello, .verbs = verbs, .arg = arg};
    s->client_max = CLIENTS_MAX;
    s->listener = listener_new(base, path, on_accept, s, e);
    if (s->listener)
        return s;
    server_free(s);
    return NULL;
}

void server_event_for(struct server *s, uint64_t client, json_t *event)
{
    struct client *c;
    if (s)
        LIST_FOREACH(c, &s->clients, link)
            if (c->wants_events || c->number == client)
                send_line(c, event);
    json_decref(event);
}

void server_event(struct server *s, json_t *event)
{
    server_event_for(s, 0, event);
}

void server_allow(struct server *s, unsigned clients)
{
    s->client_max = clients > CLIENTS_MAX ? clients : CLIENTS_MAX;
}

void server_on_client_end(struct server *s, void (*ended)(void *arg, uint64_t client))
{
    s->client_ended = ended;
}

static void flush(struct client *c, int64_t deadline)
{
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};
    while (evbuffer_get_length(c->out) > 0 && clock_ms() < deadline && poll(&p, 1, FLUSH_MS) > 0)
        if (evbuffer_write(c->out, p.fd) <= 0)
            return;
}

// The last answers ("stopped") must arrive although the process is about to end: first what needs
// no waiting, so that who does not read takes no time away from the others.
static void end_clients(struct server *s)
{
    int64_t deadline = clock_ms() + END_MS;
    struct client *c;
    LIST_FOREACH(c, &s->clients, link)
        evbuffer_write(c->out, c->fd);
    while ((c = LIST_FIRST(&s->clients))) {
        flush(c, deadline);
        client_free(c);
    }
}

void server_retire(struct server *s)
{
    listener_free(s->listener);
    s->listener = NULL;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    server_retire(s);
    s->client_ended = NULL;
    end_clients(s);
    struct request *rq;
    while ((rq = LIST_FIRST(&s->requests))) {
        LIST_REMOVE(rq, link);
        json_decref(rq->id);
        free(rq);
    }
    json_decref(s->hello);
    free(s);
}
