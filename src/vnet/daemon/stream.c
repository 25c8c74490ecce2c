// A connection is a client as soon as its first frame tells who it is.
#include "vnet/daemon/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parse.h"
#include "proto/framing.h"
#include "proto/listener.h"
#include "vnet/daemon/daemon.h"

enum { STRANGERS_MAX = 64 };

struct connection {
    struct port port;
    struct framing in;
    size_t sent; // see stream_send()
    // Before it is a port:
    struct stream *stream;
    int fd;
    struct event *readable;
    LIST_ENTRY(connection) link;
};

struct stream {
    struct daemon *d;
    char *path;
    struct listener *listener;
    LIST_HEAD(, connection) strangers; // no frame yet
    unsigned stranger_count;
    uint64_t count; // of all there were
};

// --- a port ---

static enum presence look(const struct port *p)
{
    char byte;
    ssize_t n = recv(p->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)) ? PRESENT : ABSENT;
}

int stream_send(int fd, size_t *sent, struct frame *const *frames, unsigned n)
{
    struct iovec io[2 * PORT_BATCH];
    uint8_t headers[PORT_BATCH][FRAMING_HEADER];
    size_t skip = *sent;
    int count = 0;
    for (unsigned i = 0; i < n; i++) {
        size_t size = vnet_frame_size(frames[i]);
        framing_put(headers[i], (uint32_t)size);
        if (skip < FRAMING_HEADER)
            io[count++] = (struct iovec){headers[i] + skip, FRAMING_HEADER - skip};
        skip = skip > FRAMING_HEADER ? skip - FRAMING_HEADER : 0;
        io[count++] = (struct iovec){(uint8_t *)vnet_frame_data(frames[i]) + skip, size - skip};
        skip = 0;
    }
    ssize_t went = sendmsg(fd, &(struct msghdr){.msg_iov = io, .msg_iovlen = (size_t)count},
                           MSG_DONTWAIT | MSG_NOSIGNAL);
    if (went < 0 && (errno == ENOBUFS || errno == ENOMEM))
        errno = EAGAIN; // a frame that has begun must go on
    if (went < 0)
        return -1;
    *sent += (size_t)went;
    int done = 0;
    while (done < (int)n && *sent >= FRAMING_HEADER + vnet_frame_size(frames[done]))
        *sent -= FRAMING_HEADER + vnet_frame_size(frames[done++]);
    errno = EAGAIN; // a frame that has gone in part stays the first
    return done > 0 ? done : -1;
}

static int send_frames(struct port *port, struct frame *const *frames, unsigned n)
{
    struct connection *c = (struct connection *)port;
    return stream_send(port->fd, &c->sent, frames, n);
}

static void take_frame(void *port, const uint8_t *frame, size_t n)
{
    port_input(port, frame, n);
}

// The whole frames of what came up to now; may end the port.
static void take_or_end(struct port *port)
{
    struct connection *c = (struct connection *)port;
    struct err e;
    if (framing_pass(&c->in, take_frame, port, &e) == 0)
        return;
    daemon_refuse(port->d, REFUSED_LENGTH, port->peer, NULL);
    port_gone(port, e.msg);
}

static void read_frames(struct port *port)
{
    struct connection *c = (struct connection *)port;
    struct err e;
    if (framing_fill(&c->in, port->fd, &e))
        take_or_end(port);
    else
        port_gone(port, e.msg);
}

static void free_connection(struct port *port)
{
    struct connection *c = (struct connection *)port;
    framing_fini(&c->in);
    free(c);
}

static const struct port_ops stream_ops = {
    .kind = "stream",
    .send = send_frames,
    .look = look,
    .read = read_frames,
    .free = free_connection,
};

struct port *stream_attach(struct daemon *d, const char *peer, int fd, const struct place *place,
                           struct err *e)
{
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM) {
        err_set(e, ERR_USAGE, "the descriptor is no stream socket");
        return NULL;
    }
    struct connection *c = xcalloc(1, sizeof *c);
    framing_init(&c->in);
    if (port_open(d, &c->port, &stream_ops, fd, place, peer, e) < 0) {
        free_connection(&c->port);
        return NULL;
    }
    port_listen(&c->port, true);
    return &c->port;
}

// --- before the first frame ---

// The connection is no stranger any more; its descriptor stays open.
static void forget(struct connection *c)
{
    LIST_REMOVE(c, link);
    c->stream->stranger_count--;
    event_free(c->readable);
}

static void turn_away(struct connection *c)
{
    forget(c);
    close(c->fd);
    free_connection(&c->port);
}

static void join(struct connection *c, const struct mac *mac)
{
    struct daemon *d = c->stream->d;
    struct place place;
    struct err e;
    char peer[SOCKET_PATH_MAX + 32];
    snprintf(peer, sizeof peer, "%s#%llu", c->stream->path, (unsigned long long)++c->stream->count);
    if (place_find(d, &(struct identity){.mac = mac}, &place, &e) < 0) {
        daemon_refuse(d, REFUSED_UNKNOWN_MAC, peer, mac);
        turn_away(c);
    } else if (port_open(d, &c->port, &stream_ops, c->fd, &place, peer, &e) < 0) {
        daemon_refuse(d, REFUSED_FULL, peer, mac);
        turn_away(c);
    } else {
        forget(c);
        port_listen(&c->port, true);
        take_or_end(&c->port);
    }
}

// Frames that do not tell who sends them are passed over.
static void look_for_mac(struct connection *c)
{
    struct err e;
    struct mac mac;
    long took;
    while ((took = framing_take(c->in.buffer, c->in.n, &e)) > 0) {
        if (place_mac(c->in.buffer + FRAMING_HEADER, (size_t)took - FRAMING_HEADER, &mac)) {
            join(c, &mac);
            return;
        }
        daemon_refuse(c->stream->d, REFUSED_NO_MAC, c->stream->path, NULL);
        framing_skip(&c->in, (size_t)took);
    }
    if (took < 0) {
        daemon_refuse(c->stream->d, REFUSED_LENGTH, c->stream->path, NULL);
        turn_away(c);
    }
}

static void on_stranger(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct connection *c = arg;
    struct err e;
    if (framing_fill(&c->in, fd, &e))
        look_for_mac(c);
    else
        turn_away(c);
}

static void on_accept(void *arg, int fd)
{
    struct stream *s = arg;
    if (s->stranger_count == STRANGERS_MAX) {
        daemon_refuse(s->d, REFUSED_FULL, s->path, NULL);
        close(fd);
        return;
    }
    struct connection *c = xcalloc(1, sizeof *c);
    framing_init(&c->in);
    c->stream = s;
    c->fd = fd;
    c->readable = event_new(s->d->base, fd, EV_READ | EV_PERSIST, on_stranger, c);
    event_add(c->readable, NULL);
    LIST_INSERT_HEAD(&s->strangers, c, link);
    s->stranger_count++;
}

struct stream *stream_new(struct daemon *d, const char *path, struct err *e)
{
    struct stream *s = xcalloc(1, sizeof *s);
    s->d = d;
    s->path = xstrdup(path);
    s->listener = listener_new(d->base, path, on_accept, s, e);
    if (s->listener)
        return s;
    stream_free(s);
    return NULL;
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    while (!LIST_EMPTY(&s->strangers))
        turn_away(LIST_FIRST(&s->strangers));
    listener_free(s->listener);
    free(s->path);
    free(s);
}
