// Connections from their beginning to their end, and the table of them.
#include "host/vsock-links.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "host/vsock-link.h"

enum {
    FIRST_PORT = 1 << 30, // of the host's ends, as Firecracker has them
    CALL_MS = 5000,       // for a program's connection to be accepted
    DIAL_MS = 2000,       // for a program that has no room; Linux gives up then, too
    DIAL_STEP_MS = 10,    // between two tries
};

// --- table ---

static struct bucket *bucket(const struct links *ls, uint32_t host_port, uint32_t guest_port)
{
    uint32_t hash = (host_port ^ guest_port * 0x9e3779b1U) * 0x85ebca6bU;
    return (struct bucket *)&ls->table[hash >> 24];
}

struct link *links_find(const struct links *ls, uint32_t host_port, uint32_t guest_port)
{
    struct link *l;
    LIST_FOREACH(l, bucket(ls, host_port, guest_port), bucket)
        if (l->host_port == host_port && l->guest_port == guest_port)
            return l;
    return NULL;
}

void link_unlist(struct link *l)
{
    if (l->listed)
        LIST_REMOVE(l, bucket);
    l->listed = false;
}

static void link_free(struct link *l)
{
    struct links *ls = l->all;
    link_let_go(l);
    link_unlist(l);
    if (l->queued)
        TAILQ_REMOVE(&ls->turns, l, turn);
    LIST_REMOVE(l, every);
    ls->count--;
    event_free(l->timer);
    evbuffer_free(l->unwritten);
    free(l);
}

// --- the end ---

void link_settle(struct link *l)
{
    if (l->state == OVER && !l->say && (l->fd < 0 || link_unwritten(l) == 0))
        link_free(l);
}

void link_end(struct link *l, bool tell, bool drain)
{
    l->state = OVER;
    l->say = 0;
    l->readable = false;
    event_del(l->timer);
    if (l->read)
        event_del(l->read);
    if (!drain)
        link_let_go(l);
    if (tell)
        link_say(l, SAY_RST);
    else
        link_unlist(l);
    link_settle(l);
}

void link_fail(struct link *l)
{
    link_let_go(l);
    if (l->state == OVER)
        link_settle(l);
    else
        link_end(l, true, false);
}

// --- birth ---

static void again(struct link *l, int ms)
{
    event_add(l->timer, &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

void link_start(struct link *l)
{
    l->state = OPEN;
    event_del(l->timer);
    event_add(l->read, NULL);
}

void link_dial(struct link *l)
{
    int fd = l->all->hooks.dial(l->all->hooks.arg, l->host_port);
    if (fd >= 0) {
        link_adopt(l, fd);
        link_start(l);
        link_say(l, SAY_RESPONSE);
    } else if (errno == EAGAIN && clock_ms() < l->deadline) {
        again(l, DIAL_STEP_MS);
    } else {
        link_end(l, true, false);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct link *l = arg;
    if (l->state == DIALING)
        link_dial(l);
    else // where the guest was never asked there is nothing to take back
        link_end(l, !(l->say & SAY_REQUEST), false);
}

struct link *link_new(struct links *ls, uint32_t host_port, uint32_t guest_port,
                      enum link_state state)
{
    struct link *l = xcalloc(1, sizeof *l);
    *l = (struct link){.all = ls,
                       .host_port = host_port,
                       .guest_port = guest_port,
                       .state = state,
                       .listed = true,
                       .fd = -1,
                       .deadline = clock_ms() + DIAL_MS,
                       .timer = evtimer_new(ls->base, on_timer, l),
                       .unwritten = evbuffer_new()};
    LIST_INSERT_HEAD(bucket(ls, host_port, guest_port), l, bucket);
    LIST_INSERT_HEAD(&ls->every, l, every);
    ls->count++;
    return l;
}

static uint32_t free_port(struct links *ls, uint32_t guest_port)
{
    do {
        if (++ls->next_port < FIRST_PORT || ls->next_port == UINT32_MAX)
            ls->next_port = FIRST_PORT;
    } while (links_find(ls, ls->next_port, guest_port));
    return ls->next_port;
}

uint32_t links_connect(struct links *ls, int fd, uint32_t port, bool greet_it)
{
    if (ls->count >= VSOCK_LINKS_MAX) {
        close(fd);
        return 0;
    }
    struct link *l = link_new(ls, free_port(ls, port), port, CALLING);
    l->greet = greet_it;
    link_adopt(l, fd);
    if (greet_it)
        again(l, CALL_MS);
    link_say(l, SAY_REQUEST);
    return l->host_port;
}

// --- the whole ---

struct links *links_new(struct event_base *base, uint32_t guest_cid,
                        const struct links_hooks *hooks)
{
    struct links *ls = xcalloc(1, sizeof *ls);
    *ls = (struct links){.base = base, .cid = guest_cid, .hooks = *hooks, .next_port = FIRST_PORT};
    TAILQ_INIT(&ls->turns);
    return ls;
}

static void forget(struct link *l)
{
    if (l->state == CALLING && (l->say & SAY_REQUEST))
        return; // the guest never heard of it
    link_end(l, false, l->state == OPEN || l->state == OVER);
}

void links_reset(struct links *ls)
{
    for (struct link *l = LIST_FIRST(&ls->every), *next; l; l = next) {
        next = LIST_NEXT(l, every);
        forget(l);
    }
    ls->stray_count = 0;
}

void links_free(struct links *ls)
{
    if (!ls)
        return;
    while (!LIST_EMPTY(&ls->every))
        link_free(LIST_FIRST(&ls->every));
    free(ls);
}

int links_count(const struct links *ls)
{
    return ls->count;
}

bool links_open(const struct links *ls, uint32_t host_port)
{
    struct link *l;
    LIST_FOREACH(l, &ls->every, every)
        if (l->host_port == host_port)
            return l->state == OPEN;
    return false;
}
