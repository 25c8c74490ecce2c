// The program's end of a connection: a unix stream socket, and what it has not read yet.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/vsock-link.h"

enum { TELL = VSOCK_WINDOW / 4 }; // bytes of credit worth a packet of their own

size_t link_unwritten(const struct link *l)
{
    return evbuffer_get_length(l->unwritten);
}

void link_let_go(struct link *l)
{
    if (l->read)
        event_free(TAKE_PTR(l->read));
    if (l->write)
        event_free(TAKE_PTR(l->write));
    if (l->fd >= 0)
        close(TAKE_FD(l->fd));
    evbuffer_drain(l->unwritten, link_unwritten(l));
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct link *l = arg;
    l->readable = true;
    link_queue(l);
}

static void shut_down(struct link *l, unsigned how)
{
    if ((l->no_more | how) == l->no_more)
        return;
    l->no_more |= how;
    link_say(l, SAY_SHUTDOWN);
}

// The program reads no more: POLLHUP is there when a unix socket's peer has closed both ways.
static bool has_closed(const struct link *l)
{
    struct pollfd p = {.fd = l->fd};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

static void count_taken(struct link *l, size_t n)
{
    l->taken += (uint32_t)n;
    if (l->state == OPEN && l->taken - l->told >= TELL)
        link_say(l, SAY_CREDIT);
}

// All is written that the guest sent: what it said at the end comes true.
static void on_all_written(struct link *l)
{
    if (l->guest_no_more & VSOCK_NO_SEND)
        shutdown(l->fd, SHUT_WR);
    link_settle(l);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct link *l = arg;
    int n = evbuffer_write(l->unwritten, fd);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        link_fail(l);
        return;
    }
    if (n > 0)
        count_taken(l, (size_t)n);
    if (link_unwritten(l) > 0)
        event_add(l->write, NULL);
    else
        on_all_written(l);
}

void link_adopt(struct link *l, int fd)
{
    l->fd = fd;
    l->read = event_new(l->all->base, fd, EV_READ, on_readable, l);
    l->write = event_new(l->all->base, fd, EV_WRITE, on_writable, l);
}

void link_greet(const struct link *l)
{
    char line[32];
    int n = snprintf(line, sizeof line, "OK %u\n", l->host_port);
    if (l->greet && send(l->fd, line, (size_t)n, MSG_NOSIGNAL) < 0)
        return; // gone already, which reading will tell
}

// Keeps what the program did not take: all but the first `skip` bytes.
static void keep(struct link *l, const struct iovec *part, int n, size_t skip)
{
    for (int i = 0; i < n; i++) {
        size_t gone = skip < part[i].iov_len ? skip : part[i].iov_len;
        evbuffer_add(l->unwritten, (const char *)part[i].iov_base + gone, part[i].iov_len - gone);
        skip -= gone;
    }
}

void link_write(struct link *l, const struct iovec *part, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)part, .msg_iovlen = (size_t)n};
    ssize_t sent = link_unwritten(l) == 0 ? sendmsg(l->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        link_fail(l);
        return;
    }
    keep(l, part, n, sent < 0 ? 0 : (size_t)sent);
    if (link_unwritten(l) > 0)
        event_add(l->write, NULL);
    if (sent > 0)
        count_taken(l, (size_t)sent);
}

void link_shut(const struct link *l)
{
    if (l->guest_no_more & VSOCK_NO_RECEIVE)
        shutdown(l->fd, SHUT_RD);
    if ((l->guest_no_more & VSOCK_NO_SEND) && link_unwritten(l) == 0)
        shutdown(l->fd, SHUT_WR);
}

size_t link_read(struct link *l, const struct iovec *part, int n)
{
    ssize_t got = readv(l->fd, part, n);
    if (got > 0)
        return (size_t)got;
    l->readable = false;
    if (got == 0) {
        l->ended = true;
        shut_down(l, has_closed(l) ? VSOCK_CLOSED : VSOCK_NO_SEND);
    } else if (errno == EAGAIN || errno == EINTR) {
        event_add(l->read, NULL);
    } else {
        link_fail(l); // the guest is told next
    }
    return 0;
}
