// Clients by address, the first frame of each, and rotation.
#include "vnet/daemon/datagram.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/datagram.h"
#include "proto/unix.h"
#include "vnet/daemon/daemon.h"
#include "vnet/daemon/pair.h"

enum { BUCKETS = 256 };

struct datagram {
    struct daemon *d;
    char *path;
    int fd;
    struct event *readable;
    LIST_HEAD(, pair) buckets[BUCKETS];
};

int datagram_bind(const char *path, struct err *e)
{
    struct sockaddr_un addr;
    AUTO_FREE char *draft = xasprintf("%s.new", path);
    if (unix_address(draft, &addr, e) < 0)
        return -1;
    AUTO_CLOSE int fd = datagram_socket();
    if (fd < 0)
        return err_sys(e, "cannot make a socket");
    unlink(draft);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || chmod(draft, 0600) < 0 ||
        rename(draft, path) < 0) {
        err_sys(e, "cannot listen at %s", path);
        unlink(draft);
        return -1;
    }
    return TAKE_FD(fd);
}

static void on_frames(evutil_socket_t fd, short what, void *arg);

static void listen_on(struct datagram *g, int fd)
{
    if (g->readable)
        event_free(g->readable);
    g->fd = fd;
    g->readable = event_new(g->d->base, fd, EV_READ | EV_PERSIST, on_frames, g);
    event_add(g->readable, NULL);
}

static unsigned bucket_of(const struct sockaddr_un *from, socklen_t size)
{
    return (unsigned)(hash_bytes(from, size) % BUCKETS);
}

static struct pair *find(struct datagram *g, const struct os_datagram *m)
{
    struct pair *p;
    LIST_FOREACH(p, &g->buckets[bucket_of(&m->from, m->from_size)], same_hash)
        if (address_equal(&p->peer, &m->from, m->from_size))
            return p;
    return NULL;
}

// --- reaching a client ---

// Makes the public socket the client's own.
static int rotate(struct datagram *g, const struct address *to, struct err *e)
{
    int fresh = datagram_bind(g->path, e);
    if (fresh < 0)
        return -1;
    AUTO_CLOSE int old = g->fd;
    listen_on(g, fresh);
    // Who has connected to `old` meanwhile, and is not this client, has to connect again.
    if (connect(old, (const struct sockaddr *)&to->is, to->size) < 0)
        return err_sys(e, "cannot connect to a client");
    return TAKE_FD(old);
}

// A socket that reaches the client, whose frame came through `via`.
static int reach(struct datagram *g, const struct address *to, int via, bool *mutual, struct err *e)
{
    AUTO_CLOSE int fd = datagram_socket();
    *mutual = false;
    if (fd < 0)
        return err_sys(e, "cannot make a socket");
    if (connect(fd, (const struct sockaddr *)&to->is, to->size) == 0)
        return TAKE_FD(fd);
    if (errno != EPERM || via != g->fd)
        return err_sys(e, "cannot connect to a client");
    *mutual = true;
    return rotate(g, to, e);
}

static void free_pair(struct port *port)
{
    struct pair *p = (struct pair *)port;
    LIST_REMOVE(p, same_hash);
    free(p);
}

static void stray(struct daemon *d, int fd, const struct os_datagram *m);

static void set_mutual(struct pair *p, bool mutual)
{
    p->mutual = mutual;
    port_listen(&p->port, mutual);
}

// One that started again at the same path, or connected itself later.
static bool revive(struct port *port)
{
    struct pair *p = (struct pair *)port;
    struct datagram *g = port->d->datagram;
    struct err ignored;
    bool mutual;
    if (p->mutual) // it has to speak first
        return false;
    int fd = reach(g, &p->peer, g->fd, &mutual, &ignored);
    if (fd < 0)
        return false;
    port_move(port, fd);
    set_mutual(p, mutual);
    pair_init(p, &p->peer);
    return true;
}

static const struct port_ops datagram_ops = {
    .kind = "datagram",
    .send = pair_send,
    .revive = revive,
    .look = pair_look,
    .read = pair_read,
    .free = free_pair,
};

// --- the first frame ---

static struct pair *open_pair(struct datagram *g, const struct address *from, int fd, bool mutual,
                              const struct place *place, struct err *e)
{
    char peer[sizeof from->is.sun_path + 2];
    struct pair *p = xcalloc(1, sizeof *p);
    pair_init(p, from);
    p->stray = stray;
    address_text(from, peer, sizeof peer);
    if (port_open(g->d, &p->port, &datagram_ops, fd, place, peer, e) < 0) {
        free(p);
        return NULL;
    }
    LIST_INSERT_HEAD(&g->buckets[bucket_of(&from->is, from->size)], p, same_hash);
    set_mutual(p, mutual);
    return p;
}

static struct pair *welcome(struct datagram *g, const struct os_datagram *m, int via)
{
    struct daemon *d = g->d;
    struct address from = {m->from, m->from_size};
    char peer[sizeof from.is.sun_path + 2];
    struct mac mac;
    struct place place;
    struct err e;
    bool mutual;
    address_text(&from, peer, sizeof peer);
    if (!place_mac(m->data, m->size, &mac)) {
        daemon_refuse(d, REFUSED_NO_MAC, peer, NULL);
        return NULL;
    }
    if (place_find(d, &(struct identity){.mac = &mac}, &place, &e) < 0) {
        daemon_refuse(d, REFUSED_UNKNOWN_MAC, peer, &mac);
        return NULL;
    }
    if (d->port_count >= d->limits.plugs) {
        daemon_refuse(d, REFUSED_FULL, peer, &mac);
        return NULL;
    }
    AUTO_CLOSE int fd = reach(g, &from, via, &mutual, &e);
    struct pair *p = fd < 0 ? NULL : open_pair(g, &from, fd, mutual, &place, &e);
    if (p)
        fd = -1;
    else
        daemon_refuse(d, REFUSED_UNREACHABLE, peer, &mac);
    return p;
}

// Whether the client's socket still has the pair's, not this public one, for its own. Connecting
// to it once more changes nothing then, and is refused where it has moved.
static bool still_mutual(const struct pair *p)
{
    return connect(p->port.fd, (const struct sockaddr *)&p->peer.is, p->peer.size) == 0;
}

// Whether who speaks through `via` is another client than the known one at its path, which has
// started again, or one that has connected itself anew.
static bool has_changed(const struct pair *p, int via, const struct os_datagram *m)
{
    struct mac mac;
    struct mac known;
    if (p->port.fd == via) // its own socket was the public one until this very turn
        return false;
    if (p->mutual)
        return pair_replaced(p) || !still_mutual(p);
    return place_mac(m->data, m->size, &mac) &&
           (vnet_macs(p->port.d->v, p->port.plug, &known, 1) == 0 ||
            memcmp(&mac, &known, sizeof mac) != 0) &&
           pair_replaced(p);
}

static void public_frame(struct datagram *g, int via, const struct os_datagram *m)
{
    if (m->from_size <= offsetof(struct sockaddr_un, sun_path)) {
        daemon_refuse(g->d, REFUSED_ANONYMOUS, "", NULL);
        return;
    }
    struct pair *p = find(g, m);
    if (p && has_changed(p, via, m)) {
        port_gone(&p->port, "another client speaks from its path");
        p = NULL;
    }
    if (!p)
        p = welcome(g, m, via);
    if (p)
        port_input(&p->port, m->data, m->size);
}

static void stray(struct daemon *d, int fd, const struct os_datagram *m)
{
    public_frame(d->datagram, fd, m);
}

static void on_frames(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct datagram *g = arg;
    struct os_datagram *m = daemon_batch(g->d);
    int n = os_receive(fd, m, PORT_BATCH, true);
    for (int i = 0; i < n; i++)
        public_frame(g, fd, &m[i]);
}

struct datagram *datagram_new(struct daemon *d, const char *path, struct err *e)
{
    int fd = datagram_bind(path, e);
    if (fd < 0)
        return NULL;
    struct datagram *g = xcalloc(1, sizeof *g);
    g->d = d;
    g->path = xstrdup(path);
    listen_on(g, fd);
    return g;
}

void datagram_retire(struct datagram *g)
{
    if (g)
        unlink(g->path);
}

void datagram_free(struct datagram *g)
{
    if (!g)
        return;
    event_free(g->readable);
    close(g->fd);
    free(g->path);
    free(g);
}
