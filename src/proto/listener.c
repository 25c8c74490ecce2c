// Accepting, without a busy loop where it cannot be done.
#include "proto/listener.h"

#include <event2/listener.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "proto/unix.h"

enum { RETRY_US = 100000 };

struct listener {
    struct evconnlistener *is;
    struct event *retry;
    char *path;
    bool paused;
    void (*accepted)(void *arg, int fd);
    void *arg;
};

static void on_accept(struct evconnlistener *is, evutil_socket_t fd, struct sockaddr *addr, int len,
                      void *arg)
{
    (void)is;
    (void)addr;
    (void)len;
    struct listener *l = arg;
    if (unix_peer_allowed(fd))
        l->accepted(l->arg, fd);
    else
        close(fd);
}

// Who waits makes the socket readable until it is accepted, which fails until descriptors are free.
static void on_error(struct evconnlistener *is, void *arg)
{
    struct listener *l = arg;
    evconnlistener_disable(is);
    event_add(l->retry, &(struct timeval){.tv_usec = RETRY_US});
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct listener *l = arg;
    if (!l->paused)
        evconnlistener_enable(l->is);
}

struct listener *listener_new(struct event_base *base, const char *path,
                              void (*accepted)(void *arg, int fd), void *arg, struct err *e)
{
    int fd = unix_listen(path, e);
    if (fd < 0)
        return NULL;
    struct listener *l = xcalloc(1, sizeof *l);
    *l = (struct listener){.path = xstrdup(path), .accepted = accepted, .arg = arg};
    l->is = evconnlistener_new(base, on_accept, l, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0,
                               fd);
    evconnlistener_set_error_cb(l->is, on_error);
    l->retry = evtimer_new(base, on_retry, l);
    return l;
}

void listener_pause(struct listener *l, bool pause)
{
    l->paused = pause;
    if (pause)
        evconnlistener_disable(l->is);
    else
        evconnlistener_enable(l->is);
}

void listener_free(struct listener *l)
{
    if (!l)
        return;
    evconnlistener_free(l->is);
    event_free(l->retry);
    unlink(l->path);
    free(l->path);
    free(l);
}
