// The guest's vsock as programs see it: unix sockets, and the two ports that are Host's own.
#include "host/vsock.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/parse.h"
#include "host/vsock-device.h"
#include "proto/unix.h"

enum {
    RETRY_MS = 500, // to the guest's port, while nobody listens there
    REQUEST_MAX = 32,
    FILES = VSOCK_LINKS_MAX + 256, // that Host may have open
};

// A program that has connected, and has not said yet where to.
struct caller {
    struct vsock *vsock;
    int fd;
    struct event *readable;
    char line[REQUEST_MAX];
    size_t have;
    LIST_ENTRY(caller) link;
};

// Host's own end of a connection: it says its line, if any, and ignores what it hears.
struct talk {
    struct vsock *vsock;
    struct bufferevent *io;
    LIST_ENTRY(talk) link;
};

struct vsock {
    struct event_base *base;
    char *path;
    char *address;
    uint32_t cid;
    uint32_t port;
    struct evconnlistener *listener;
    struct links *links;
    struct vsock_device *device;
    int caller_count;
    LIST_HEAD(, caller) callers;
    LIST_HEAD(, talk) talks;
    struct talk *keeper;  // the connection to `port`; NULL: none at the moment
    uint32_t keeper_port; // our end of it
    struct event *retry;
};

// --- Host's own connections ---

static void talk_free(struct talk *t)
{
    struct vsock *v = t->vsock;
    if (v->keeper == t) {
        v->keeper = NULL;
        event_add(v->retry, &(struct timeval){.tv_usec = RETRY_MS * 1000});
    }
    LIST_REMOVE(t, link);
    bufferevent_free(t->io);
    free(t);
}

static void on_heard(struct bufferevent *io, void *arg)
{
    (void)arg;
    struct evbuffer *in = bufferevent_get_input(io);
    evbuffer_drain(in, evbuffer_get_length(in));
}

static void on_said(struct bufferevent *io, void *arg)
{
    const struct talk *t = arg;
    if (t != t->vsock->keeper)
        shutdown(bufferevent_getfd(io), SHUT_WR);
}

static void on_talk_end(struct bufferevent *io, short what, void *arg)
{
    (void)io;
    (void)what;
    talk_free(arg);
}

// Returns the other end, non-blocking; -1 with errno.
static int talk_new(struct vsock *v, const char *line, struct talk **out)
{
    struct err e;
    int ends[2];
    if (unix_pair(ends, &e) < 0)
        return -1;
    evutil_make_socket_nonblocking(ends[1]);
    struct talk *t = xcalloc(1, sizeof *t);
    t->vsock = v;
    t->io = bufferevent_socket_new(v->base, ends[0], BEV_OPT_CLOSE_ON_FREE);
    LIST_INSERT_HEAD(&v->talks, t, link);
    bufferevent_setcb(t->io, on_heard, on_said, on_talk_end, t);
    bufferevent_enable(t->io, EV_READ | EV_WRITE);
    if (line)
        bufferevent_write(t->io, line, strlen(line));
    if (out)
        *out = t;
    return ends[1];
}

static void connect_port(evutil_socket_t fd_, short what, void *arg)
{
    (void)fd_;
    (void)what;
    struct vsock *v = arg;
    int fd = talk_new(v, NULL, &v->keeper);
    if (fd >= 0) // where there are too many, the end of `fd` tells
        v->keeper_port = links_connect(v->links, fd, v->port, false);
    else
        event_add(v->retry, &(struct timeval){.tv_usec = RETRY_MS * 1000});
}

// --- the guest connects ---

static int dial(void *arg, uint32_t port)
{
    struct vsock *v = arg;
    if (port == VSOCK_ADDRESS_PORT)
        return talk_new(v, v->address, NULL);
    AUTO_FREE char *path = xasprintf("%s_%u", v->path, port);
    return unix_connect_now(path);
}

static void pump(void *arg)
{
    const struct vsock *v = arg;
    vsock_device_pump(v->device);
}

// --- programs connect ---

static void caller_free(struct caller *c)
{
    LIST_REMOVE(c, link);
    c->vsock->caller_count--;
    event_free(c->readable);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

// The line has come whole, without its end.
static void obey(struct caller *c)
{
    struct err e;
    uint64_t port;
    static const char verb[] = "CONNECT ";
    c->line[c->have] = 0;
    if (strncmp(c->line, verb, strlen(verb)) == 0 &&
        number_parse(c->line + strlen(verb), "port", 1, UINT32_MAX - 1, &port, &e) == 0)
        links_connect(c->vsock->links, TAKE_FD(c->fd), (uint32_t)port, true);
    caller_free(c);
}

// Takes the line and not a byte more: what follows it is the guest's.
static void on_caller(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct caller *c = arg;
    char *at = c->line + c->have;
    ssize_t n = recv(fd, at, REQUEST_MAX - c->have, MSG_PEEK);
    if (n < 0 && errno == EAGAIN)
        return;
    const char *end = n > 0 ? memchr(at, '\n', (size_t)n) : NULL;
    if (end)
        n = end - at + 1;
    if (n <= 0 || recv(fd, at, (size_t)n, 0) != n || c->have + (size_t)n >= REQUEST_MAX) {
        caller_free(c);
        return;
    }
    c->have += (size_t)n - (end ? 1 : 0);
    if (end)
        obey(c);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len,
                      void *arg)
{
    (void)l;
    (void)addr;
    (void)len;
    struct vsock *v = arg;
    if (!unix_peer_allowed(fd) || v->caller_count + links_count(v->links) >= VSOCK_LINKS_MAX) {
        close(fd);
        return;
    }
    struct caller *c = xcalloc(1, sizeof *c);
    *c = (struct caller){.vsock = v, .fd = fd};
    c->readable = event_new(v->base, fd, EV_READ | EV_PERSIST, on_caller, c);
    event_add(c->readable, NULL);
    LIST_INSERT_HEAD(&v->callers, c, link);
    v->caller_count++;
}

// --- the whole ---

// Connections are files, and the usual limit is 1024 of them.
static void raise_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= FILES)
        return;
    r.rlim_cur = r.rlim_max < FILES ? r.rlim_max : FILES;
    setrlimit(RLIMIT_NOFILE, &r);
}

struct vsock *vsock_new(struct event_base *base, const struct vsock_options *options, struct err *e)
{
    int fd = unix_listen(options->path, e);
    if (fd < 0)
        return NULL;
    raise_limit();
    struct vsock *v = xcalloc(1, sizeof *v);
    *v = (struct vsock){.base = base,
                        .path = xstrdup(options->path),
                        .address = xstrdup(options->address),
                        .port = options->port,
                        .cid = options->cid};
    const struct links_hooks hooks = {.dial = dial, .pump = pump, .arg = v};
    v->links = links_new(base, options->cid, &hooks);
    v->device = vsock_device_new(base, v->links, options->cid);
    v->retry = evtimer_new(base, connect_port, v);
    v->listener = evconnlistener_new(base, on_accept, v,
                                     LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    connect_port(-1, 0, v);
    return v;
}

void vsock_free(struct vsock *v)
{
    if (!v)
        return;
    evconnlistener_free(v->listener);
    unlink(v->path);
    while (!LIST_EMPTY(&v->callers))
        caller_free(LIST_FIRST(&v->callers));
    vsock_device_free(v->device);
    links_free(v->links);
    while (!LIST_EMPTY(&v->talks))
        talk_free(LIST_FIRST(&v->talks));
    event_free(v->retry);
    free(v->path);
    free(v->address);
    free(v);
}

int vsock_renew(struct vsock *v, struct err *e)
{
    int ends[2];
    if (unix_pair(ends, e) < 0)
        return -1;
    vsock_device_plug(v->device, ends[0]);
    return ends[1];
}

void vsock_reset(struct vsock *v)
{
    if (v)
        links_reset(v->links);
}

json_t *vsock_status(const struct vsock *v)
{
    return json_pack("{s:s, s:I, s:I, s:b, s:i}", "path", v->path, "cid", (json_int_t)v->cid,
                     "port", (json_int_t)v->port, "connected",
                     v->keeper && links_open(v->links, v->keeper_port), "connections",
                     links_count(v->links));
}
