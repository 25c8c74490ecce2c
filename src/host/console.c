// Console relay: engine → log, recent output and clients; clients → engine.
#include "host/console.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/logfile.h"
#include "base/mem.h"
#include "proto/listener.h"
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
    struct listener *listener;
    struct evbuffer *recent;
    struct logfile *log;
    char line[LINE_KEPT];
    size_t line_len;
    char last[LINE_KEPT];
    char panic[LINE_KEPT];
    bool silent; // since the end of a panic
    struct console_hooks hooks;
    LIST_HEAD(, client) clients;
};

static void client_free(struct client *cl)
{
    LIST_REMOVE(cl, link);
    bufferevent_free(cl->io);
    free(cl);
}

#define PANIC "Kernel panic - not syncing"

// A kernel's own words: after its time stamp, where it has one.
static const char *message(const char *line)
{
    const char *end = line[0] == '[' ? strstr(line, "] ") : NULL;
    return end ? end + 2 : line;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void on_line(struct console *c)
{
    const char *text = message(c->line);
    if (c->line_len > 0)
        memcpy(c->last, c->line, c->line_len + 1);
    c->line_len = 0;
    if (begins(text, PANIC)) {
        strcpy(c->panic, text);
        c->hooks.panic(c->hooks.arg, c->panic);
    } else if (c->panic[0] && begins(text, "---[ end " PANIC)) {
        c->silent = true;
        c->hooks.silent(c->hooks.arg, c->panic);
    }
}

// Looks at whole lines for a kernel's last words; a line longer than LINE_KEPT is cut.
static void watch_lines(struct console *c, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n' || text[i] == '\r') {
            c->line[c->line_len] = 0;
            on_line(c);
            continue;
        }
        if (c->silent) {
            c->silent = false;
            c->panic[0] = 0;
            c->hooks.went_on(c->hooks.arg);
        }
        if (c->line_len < LINE_KEPT - 1) // printable, so that it can be shown and sent as JSON
            c->line[c->line_len++] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
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

static void on_accept(void *arg, int fd)
{
    struct console *c = arg;
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
                            const struct console_hooks *hooks, struct err *e)
{
    struct console *c = xcalloc(1, sizeof *c);
    *c = (struct console){.base = base, .hooks = *hooks};
    c->recent = evbuffer_new();
    c->engine = bufferevent_socket_new(base, engine_fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(c->engine, on_engine, on_engine_drained, on_engine_end, c);
    bufferevent_enable(c->engine, EV_READ | EV_WRITE);
    c->log = logfile_open(vm_fd, VM_CONSOLE_LOG, LOG_LIMIT, e);
    c->listener = c->log ? listener_new(base, path, on_accept, c, e) : NULL;
    if (c->listener)
        return c;
    console_free(c);
    return NULL;
}

const char *console_last(const struct console *c)
{
    return c->last;
}

const char *console_panic(const struct console *c)
{
    return c->panic;
}

void console_reset(struct console *c)
{
    c->line_len = 0;
    c->last[0] = 0;
    c->panic[0] = 0;
    c->silent = false;
}

void console_free(struct console *c)
{
    if (!c)
        return;
    listener_free(c->listener);
    struct client *cl;
    while ((cl = LIST_FIRST(&c->clients)))
        client_free(cl);
    bufferevent_free(c->engine);
    evbuffer_free(c->recent);
    logfile_close(c->log);
    free(c);
}
