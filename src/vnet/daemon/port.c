// What all kinds of clients have in common.
#include "vnet/daemon/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "vnet/daemon/daemon.h"

// macOS has nothing to wait for when its buffers are full: try again soon, and not for ever.
enum { RETRY_US = 1000, RETRIES_MAX = 100 };

static json_t *port_event(const struct port *p, const char *event)
{
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s}", "event", event, "plug", (int)p->plug, "name",
                     p->place.name, "network", p->d->lab->networks[p->place.network].entry.name,
                     "kind", p->ops->kind, "peer", p->peer);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct port *p = arg;
    p->ops->read(p);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct port *p = arg;
    p->waits = false;
    port_flush(p);
}

static void make_events(struct port *p)
{
    p->readable = event_new(p->d->base, p->fd, EV_READ | EV_PERSIST, on_readable, p);
    p->writable = event_new(p->d->base, p->fd, EV_WRITE, on_writable, p);
    p->retry = evtimer_new(p->d->base, on_writable, p);
}

static void free_events(struct port *p)
{
    event_free(p->readable);
    event_free(p->writable);
    event_free(p->retry);
}

int port_open(struct daemon *d, struct port *p, const struct port_ops *ops, int fd,
              const struct place *place, const char *peer, struct err *e)
{
    struct vnet_plug plug = {.name = place->name, .network = place->network};
    memcpy(plug.link, place->link, sizeof plug.link);
    vnet_advance(d->v, clock_ns()); // an idle lab's time is that of its last frame
    int number = vnet_add_plug(d->v, &plug, e);
    if (number < 0)
        return -1;
    p->ops = ops;
    p->d = d;
    p->fd = fd;
    p->plug = (unsigned)number;
    p->place = *place;
    p->peer = xstrdup(peer);
    text_clean(p->peer);
    p->since = clock_ns();
    make_events(p);
    d->ports[p->plug] = p;
    d->port_count++;
    daemon_plugged(d, p);
    log_line("plug %u: %s %s is '%s' of network '%s'", p->plug, ops->kind, p->peer, place->name,
             d->lab->networks[place->network].entry.name);
    daemon_event(d, port_event(p, "plug"));
    return 0;
}

void port_move(struct port *p, int fd)
{
    bool listens = event_pending(p->readable, EV_READ, NULL);
    free_events(p);
    close(p->fd);
    p->fd = fd;
    p->waits = false;
    make_events(p);
    port_listen(p, listens);
}

void port_listen(struct port *p, bool on)
{
    if (on)
        event_add(p->readable, NULL);
    else
        event_del(p->readable);
}

void port_hold(struct port *p)
{
    p->waits = true;
}

void port_go_on(struct port *p)
{
    p->waits = false;
    port_flush(p);
}

void port_input(struct port *p, const uint8_t *frame, size_t n)
{
    vnet_input(p->d->v, clock_ns(), p->plug, frame, n);
    if (++p->d->taken == TURN_FRAMES)
        event_base_loopbreak(p->d->base); // who waits is called in the next turn
}

void port_output(struct port *p, struct frame *f)
{
    if (!queue_put(&p->queue, &p->d->share, f)) {
        p->slow++;
        return;
    }
    if (p->flushes || p->waits)
        return;
    TAILQ_INSERT_TAIL(&p->d->to_flush, p, to_flush);
    p->flushes = true;
}

static void no_longer_to_flush(struct port *p)
{
    if (p->flushes)
        TAILQ_REMOVE(&p->d->to_flush, p, to_flush);
    p->flushes = false;
}

static void drop_first(struct port *p, unsigned n)
{
    queue_drop(&p->queue, &p->d->share, p->d->v, n);
    p->retries = 0;
}

static void wait_for(struct port *p, struct event *ev, const struct timeval *timeout)
{
    p->waits = true;
    event_add(ev, timeout);
}

// What an error of send() leaves to be done. False: nothing more can be sent now.
static bool after_error(struct port *p, int error)
{
    switch (error) {
    case EINTR:
        return true;
    case EAGAIN:
        wait_for(p, p->writable, NULL);
        return false;
    case ENOBUFS:
    case ENOMEM:
        if (p->retries++ < RETRIES_MAX) {
            wait_for(p, p->retry, &(struct timeval){.tv_usec = RETRY_US});
            return false;
        }
        p->slow += p->queue.count;
        drop_first(p, p->queue.count);
        return false;
    case EMSGSIZE: // too long for this client
    case EINVAL:   // a TAP wants at least a header
    case EIO:      // a TAP that is down
        p->unsent++;
        drop_first(p, 1);
        return true;
    default:
        if (p->ops->revive && p->ops->revive(p))
            return true;
        port_gone(p, strerror(error));
        return false;
    }
}

void port_flush(struct port *p)
{
    struct frame *frames[PORT_BATCH];
    unsigned n;
    no_longer_to_flush(p);
    while ((n = queue_peek(&p->queue, frames, PORT_BATCH)) > 0) {
        int sent = p->ops->send(p, frames, n);
        if (sent > 0)
            drop_first(p, (unsigned)sent);
        else if (!after_error(p, errno))
            return;
    }
}

void port_gone(struct port *p, const char *why)
{
    struct daemon *d = p->d;
    log_line("plug %u: '%s' has gone: %s", p->plug, p->place.name, why);
    json_t *event = port_event(p, "unplug");
    json_object_set_new(event, "reason", json_string(why));
    server_event_for(d->control, p->owner, event);
    no_longer_to_flush(p);
    queue_drop(&p->queue, &d->share, d->v, p->queue.count);
    vnet_remove_plug(d->v, p->plug);
    d->ports[p->plug] = NULL;
    d->port_count--;
    free_events(p);
    if (p->ops->hang_up)
        p->ops->hang_up(p);
    else
        close(p->fd);
    free(p->peer);
    p->ops->free(p);
}
