// Console relay: engine → log, recent output and clients; clients → engine.
#include "host/console.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/logfile.h"
#include "base/mem.h"
#include "proto/unix.h"
#include "vm/store.h"

enum {
    LOG_LIMIT = 4 << 20,
    RECENT = 16 << 10,    // what a new client sees
    CLIENT_MAX = 1 << 20, // unread output at which a client is let go
    INPUT_MAX = 64 << 10, // unread input at which clients must wait
    LINE_KEPT = 512,
};

struct client {
    struct console *console;
    struct bufferevent *io;
    LIST_ENTRY(client) link;
};

struct console {
    struct event_base *base;
    struct bufferevent *engine;
    struct evconnlistener *listener;
    struct evbuffer *recent;
    struct logfile *log;
    char *path;
    char line[LINE_KEPT];
    size_t line_len;
    char last[LINE_KEPT];
    bool panic_told; // since the last boot: Linux says it twice
    void (*panicked)(void *arg, const char *line);
    void *arg;
    LIST_HEAD(, client) clients;
};

static void client_free(struct client *cl)
{
    LIST_REMOVE(cl, link);
    bufferevent_free(cl->io);
    free(cl);
}

// Looks at whole lines for a kernel's last words; a line longer than LINE_KEPT is cut.
static void watch_lines(struct console *c, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '\n' && text[i] != '\r') {
            if (c->line_len < LINE_KEPT - 1) // printable, so that it can be shown and sent as JSON
                c->line[c->line_len++] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
            continue;
        }
        c->line[c->line_len] = 0;
        if (c->line_len > 0)
            memcpy(c->last, c->line, c->line_len + 1);
        c->line_len = 0;
        const char *panic = strstr(c->line, "Kernel panic - not syncing");
        if (panic && !c->panic_told)
            c->panicked(c->arg, panic);
        c->panic_told |= panic != NULL;
    }
}

static void on_engine(struct bufferevent *io, void *arg)
{
    struct console *c = arg;
    struct evbuffer *in = bufferevent_get_input(io);
    char text[16384];
    int n;
    while ((n = evbuffer_remove(in, text, sizeof text)) > 0) {
        logfile_write(c->log, text, (size_t)n);
        evbuffer_add(c->recent, text, (size_t)n);
        if (evbuffer_get_length(c->recent) > RECENT)
            evbuffer_drain(c->recent, evbuffer_get_length(c->recent) - RECENT);
        struct client *cl = LIST_FIRST(&c->clients);
        while (cl) {
            struct client *next = LIST_NEXT(cl, link);
            if (evbuffer_get_length(bufferevent_get_output(cl->io)) > CLIENT_MAX)
                client_free(cl);
            else
                bufferevent_write(cl->io, text, (size_t)n);
            cl = next;
        }
        watch_lines(c, text, (size_t)n);
    }
}

static void on_engine_end(struct bufferevent *io, short what, void *arg)
{
    (void)what;
    (void)arg;
    bufferevent_disable(io, EV_READ | EV_WRITE);
}

static void on_engine_drained(struct bufferevent *io, void *arg)
{
    (void)io;
    struct console *c = arg;
    struct client *cl;
    LIST_FOREACH(cl, &c->clients, link)
        bufferevent_enable(cl->io, EV_READ);
}

static void on_client(struct bufferevent *io, void *arg)
{
    const struct client *cl = arg;
    struct bufferevent *engine = cl->console->engine;
    bufferevent_write_buffer(engine, bufferevent_get_input(io));
    if (evbuffer_get_length(bufferevent_get_output(engine)) > INPUT_MAX)
        bufferevent_disable(io, EV_READ); // until on_engine_drained()
}

static void on_client_end(struct bufferevent *io, short what, void *arg)
{
    (void)io;
    (void)what;
    client_free(arg);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len,
                      void *arg)
{
    (void)l;
    (void)addr;
    (void)len;
    struct console *c = arg;
    if (!unix_peer_allowed(fd)) {
        close(fd);
        return;
    }
    struct client *cl = xcalloc(1, sizeof *cl);
    cl->console = c;
    cl->io = bufferevent_socket_new(c->base, fd, BEV_OPT_CLOSE_ON_FREE);
    LIST_INSERT_HEAD(&c->clients, cl, link);
    bufferevent_setcb(cl->io, on_client, NULL, on_client_end, cl);
    bufferevent_enable(cl->io, EV_READ | EV_WRITE);
    size_t n = evbuffer_get_length(c->recent);
    bufferevent_write(cl->io, evbuffer_pullup(c->recent, -1), n);
}

struct console *console_new(struct event_base *base, int engine_fd, const char *path, int vm_fd,
                            void (*panicked)(void *arg, const char *line), void *arg, struct err *e)
{
    struct console *c = xcalloc(1, sizeof *c);
    *c = (struct console){.base = base, .path = xstrdup(path), .panicked = panicked, .arg = arg};
    c->recent = evbuffer_new();
    c->engine = bufferevent_socket_new(base, engine_fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(c->engine, on_engine, on_engine_drained, on_engine_end, c);
    bufferevent_enable(c->engine, EV_READ | EV_WRITE);
    c->log = logfile_open(vm_fd, VM_CONSOLE_LOG, LOG_LIMIT, e);
    int fd = c->log ? unix_listen(path, e) : -1;
    if (fd < 0) {
        console_free(c);
        return NULL;
    }
    c->listener = evconnlistener_new(base, on_accept, c,
                                     LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    return c;
}

const char *console_last(const struct console *c)
{
    return c->last;
}

void console_reset(struct console *c)
{
    c->line_len = 0;
    c->last[0] = 0;
    c->panic_told = false;
}

void console_free(struct console *c)
{
    if (!c)
        return;
    if (c->listener) {
        evconnlistener_free(c->listener);
        unlink(c->path);
    }
    struct client *cl;
    while ((cl = LIST_FIRST(&c->clients)))
        client_free(cl);
    bufferevent_free(c->engine);
    evbuffer_free(c->recent);
    logfile_close(c->log);
    free(c->path);
    free(c);
}
