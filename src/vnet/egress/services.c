// Connections, each with what came and what is to go. When there are too many, the oldest ends.
#include "vnet/egress/services.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/os.h"
#include "proto/unix.h"

enum {
    IN_MAX = 2 + 65535,  // a DNS message behind its length (RFC 7766, 8)
    OUT_MAX = 256 << 10, // of a client that asks and does not read
};

struct service {
    int listener, name; // `name` leads to the listener's file, which has no other any more
    unsigned network;
    char *page; // NULL: DNS
};

struct conn {
    TAILQ_ENTRY(conn) in_order; // the oldest first
    const struct service *service;
    int fd;
    uint64_t token;
    uint8_t in[IN_MAX];
    size_t in_size;
    size_t answer, answered; // of the one that comes, or was the last: its bytes, those that came
    uint8_t *out;
    size_t out_size;
    bool last; // nothing comes after `out`
    bool over;
};

struct services {
    struct service all[SERVICES_MAX];
    unsigned count;
    TAILQ_HEAD(, conn) conns;
    unsigned conn_count;
    uint64_t tokens;
    struct service_hooks hooks;
};

struct services *services_new(const struct service_hooks *hooks)
{
    struct services *s = xcalloc(1, sizeof *s);
    s->hooks = *hooks;
    TAILQ_INIT(&s->conns);
    return s;
}

static void end_conn(struct services *s, struct conn *c)
{
    TAILQ_REMOVE(&s->conns, c, in_order);
    s->conn_count--;
    close(c->fd);
    free(c->out);
    free(c);
}

void services_free(struct services *s)
{
    struct conn *c;
    while ((c = TAILQ_FIRST(&s->conns)))
        end_conn(s, c);
    for (unsigned i = 0; i < s->count; i++) {
        close(s->all[i].listener);
        close(s->all[i].name);
        free(s->all[i].page);
    }
    free(s);
}

// A listening socket whose file is gone: only who has the descriptor of the file can connect.
static int listen_unnamed(struct service *s, const char *draft, struct err *e)
{
    s->listener = unix_listen(draft, e);
    s->name = s->listener < 0 ? -1 : os_open_name(draft);
    unlink(draft);
    if (s->listener >= 0 && s->name < 0)
        return err_sys(e, "cannot open a socket's file");
    return s->listener < 0 ? -1 : 0;
}

int services_add(struct services *s, unsigned network, const char *page, const char *draft,
                 char path[static SERVICE_PATH], struct err *e)
{
    struct service *added = &s->all[s->count];
    if (s->count == SERVICES_MAX)
        return err_set(e, ERR_USAGE, "there are %u services already", s->count);
    if (listen_unnamed(added, draft, e) < 0)
        return -1;
    added->network = network;
    added->page = page ? xstrdup(page) : NULL;
    s->count++;
    os_fd_path(added->name, path, SERVICE_PATH);
    return 0;
}

// --- what goes out ---

static void put(struct conn *c, const void *data, size_t n)
{
    if (c->out_size + n > OUT_MAX) {
        c->over = true;
        return;
    }
    c->out = xrealloc(c->out, c->out_size + n);
    memcpy(c->out + c->out_size, data, n);
    c->out_size += n;
}

static void flush(struct conn *c)
{
    ssize_t n = c->out_size == 0 ? 0 : send(c->fd, c->out, c->out_size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        c->over = true;
    if (n > 0) {
        c->out_size -= (size_t)n;
        memmove(c->out, c->out + n, c->out_size);
    }
    if (c->last && c->out_size == 0)
        shutdown(c->fd, SHUT_WR); // the client closes it, too
}

void services_answer(struct services *s, uint64_t token, size_t size, size_t at,
                     const uint8_t *part, size_t n)
{
    struct conn *c;
    TAILQ_FOREACH(c, &s->conns, in_order)
        if (c->token == token)
            break;
    if (!c)
        return;
    c->over |= at != (c->answered == c->answer ? 0 : c->answered); // a part was lost
    if (at == 0)
        put(c, (uint8_t[]){(uint8_t)(size >> 8), (uint8_t)size}, 2);
    put(c, part, n);
    c->answer = size;
    c->answered = at + n;
    if (c->answered == size)
        flush(c);
}

// --- what comes in ---

static void take(struct conn *c, size_t n)
{
    c->in_size -= n;
    memmove(c->in, c->in + n, c->in_size);
}

static void on_dns(struct services *s, struct conn *c)
{
    for (;;) {
        size_t n = c->in_size < 2 ? 0 : (size_t)(c->in[0] << 8 | c->in[1]);
        if (c->in_size < 2 || c->in_size < 2 + n)
            return;
        c->over |= !s->hooks.query(s->hooks.arg, c->service->network, c->token, c->in + 2, n);
        take(c, 2 + n);
    }
}

static void on_http(struct conn *c)
{
    static const char end[] = "\r\n\r\n";
    const char *page = c->service->page;
    if (c->last || !memmem(c->in, c->in_size, end, strlen(end)))
        return;
    bool head = c->in_size > 5 && memcmp(c->in, "HEAD ", 5) == 0;
    AUTO_FREE char *answer = xasprintf("HTTP/1.1 200 OK\r\n"
                                       "Content-Type: text/plain; charset=utf-8\r\n"
                                       "Content-Length: %zu\r\n"
                                       "Connection: close\r\n\r\n%s",
                                       strlen(page), head ? "" : page);
    put(c, answer, strlen(answer));
    c->last = true;
    flush(c);
}

static void read_conn(struct services *s, struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_size, sizeof c->in - c->in_size, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        c->over = true; // a half-closed one, too: its answers are on their way at once
        return;
    }
    if (n < 0)
        return;
    c->in_size += (size_t)n;
    if (c->service->page)
        on_http(c);
    else
        on_dns(s, c);
    c->over |= c->in_size == sizeof c->in; // no request is that long
}

static void accept_conn(struct services *s, const struct service *service)
{
    int fd = accept(service->listener, NULL, NULL);
    if (fd < 0)
        return;
    if (s->conn_count == SERVICE_CONNS_MAX)
        end_conn(s, TAILQ_FIRST(&s->conns));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct conn *c = xcalloc(1, sizeof *c);
    c->service = service;
    c->fd = fd;
    c->token = ++s->tokens;
    TAILQ_INSERT_TAIL(&s->conns, c, in_order);
    s->conn_count++;
}

// --- waiting ---

nfds_t services_fill(const struct services *s, struct pollfd *fds, nfds_t n)
{
    const struct conn *c;
    for (unsigned i = 0; i < s->count; i++)
        fds[n++] = (struct pollfd){.fd = s->all[i].listener, .events = POLLIN};
    TAILQ_FOREACH(c, &s->conns, in_order)
        fds[n++] = (struct pollfd){.fd = c->fd,
                                   .events = (short)(POLLIN | (c->out_size > 0 ? POLLOUT : 0))};
    return n;
}

// Connections first: those that are new now were not waited for.
void services_serve(struct services *s, const struct pollfd *fds)
{
    const struct pollfd *p = fds + s->count;
    struct conn *c;
    TAILQ_FOREACH(c, &s->conns, in_order) {
        if (p->revents & POLLOUT)
            flush(c);
        if (p->revents & ~POLLOUT)
            read_conn(s, c);
        p++;
    }
    struct conn *next;
    for (c = TAILQ_FIRST(&s->conns); c; c = next) {
        next = TAILQ_NEXT(c, in_order);
        if (c->over)
            end_conn(s, c);
    }
    for (unsigned i = 0; i < s->count; i++)
        if (fds[i].revents & POLLIN)
            accept_conn(s, &s->all[i]);
}
