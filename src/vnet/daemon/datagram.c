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

// The public socket, or one that was it. Clients that have connected themselves to it take frames
// from no other: it stays as long as there are such.
struct door {
    struct datagram *g;
    int fd;
    struct event *readable;
    unsigned users; // who has a pointer to it
};

// A client. One that has not connected itself has a socket of its own to be sent to by, and the
// other kind a duplicate of its door's.
struct client {
    struct pair pair;
    struct door *door;  // NULL: it has not connected itself
    struct door *heard; // the last one it has spoken through
    LIST_ENTRY(client) same_hash;
};

struct datagram {
    struct daemon *d;
    char *path;
    struct door *door; // the public one
    LIST_HEAD(, client) buckets[BUCKETS];
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

static void leave(struct door *door)
{
    if (--door->users > 0)
        return;
    event_free(door->readable);
    close(door->fd);
    free(door);
}

static void point(struct door **pointer, struct door *door)
{
    struct door *before = *pointer;
    *pointer = door;
    if (door)
        door->users++;
    if (before)
        leave(before);
}

// Puts a new public socket in the place of the old one.
static int open_door(struct datagram *g, struct err *e)
{
    int fd = datagram_bind(g->path, e);
    if (fd < 0)
        return -1;
    struct door *door = xcalloc(1, sizeof *door);
    *door = (struct door){.g = g, .fd = fd};
    door->readable = event_new(g->d->base, fd, EV_READ | EV_PERSIST, on_frames, door);
    event_add(door->readable, NULL);
    point(&g->door, door);
    return 0;
}

static unsigned bucket_of(const struct sockaddr_un *from, socklen_t size)
{
    return (unsigned)(hash_bytes(from, size) % BUCKETS);
}

static struct client *find(struct datagram *g, const struct os_datagram *m)
{
    struct client *c;
    LIST_FOREACH(c, &g->buckets[bucket_of(&m->from, m->from_size)], same_hash)
        if (address_equal(&c->pair.peer, &m->from, m->from_size))
            return c;
    return NULL;
}

// --- reaching a client ---

// A socket of our own that is connected to the client; EPERM: it takes frames from another only.
static int reach(const struct address *to, struct err *e)
{
    AUTO_CLOSE int fd = datagram_socket();
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to->is, to->size) == 0)
        return TAKE_FD(fd);
    int error = errno;
    err_sys(e, "cannot connect to a client");
    errno = error;
    return -1;
}

// The door's socket, for a client that has connected itself to it. The next clients get another,
// so that few share one: who does not read what it gets there holds up the others.
static int share(struct door *door, struct err *e)
{
    int fd = fcntl(door->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, "cannot share a client's socket");
    if (door == door->g->door && open_door(door->g, e) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void free_client(struct port *port)
{
    struct client *c = (struct client *)port;
    LIST_REMOVE(c, same_hash);
    point(&c->door, NULL);
    point(&c->heard, NULL);
    free(c);
}

static int send_from_door(struct port *p, struct frame *const *frames, unsigned n)
{
    const struct client *c = (const struct client *)p;
    return pair_send_to(p, c->door ? &c->pair.peer : NULL, frames, n);
}

// One that has started again at the same path, or has connected itself to where it spoke last.
static bool revive(struct port *port)
{
    struct client *c = (struct client *)port;
    struct err ignored;
    struct door *door = NULL;
    int fd = reach(&c->pair.peer, &ignored);
    if (fd < 0 && errno == EPERM && c->heard != c->door) {
        door = c->heard;
        fd = share(door, &ignored);
    }
    if (fd < 0)
        return false;
    port_move(port, fd);
    pair_init(&c->pair, &c->pair.peer);
    point(&c->door, door);
    return true;
}

static const struct port_ops datagram_ops = {
    .kind = "datagram",
    .send = send_from_door,
    .revive = revive,
    .look = pair_look,
    .free = free_client,
};

// --- the first frame ---

// Takes the descriptor when it succeeds.
static struct client *open_client(struct datagram *g, const struct address *from, struct door *door,
                                  int fd, const struct place *place, struct err *e)
{
    char peer[sizeof from->is.sun_path + 2];
    struct client *c = xcalloc(1, sizeof *c);
    pair_init(&c->pair, from);
    address_text(from, peer, sizeof peer);
    if (port_open(g->d, &c->pair.port, &datagram_ops, fd, place, peer, e) < 0) {
        free(c);
        return NULL;
    }
    point(&c->door, door);
    LIST_INSERT_HEAD(&g->buckets[bucket_of(&from->is, from->size)], c, same_hash);
    return c;
}

static struct client *connect_back(struct door *via, const struct address *from,
                                   const struct place *place, struct err *e)
{
    struct door *door = NULL;
    AUTO_CLOSE int fd = reach(from, e);
    if (fd < 0 && errno == EPERM) {
        door = via;
        fd = share(door, e);
    }
    struct client *c = fd < 0 ? NULL : open_client(via->g, from, door, fd, place, e);
    if (c)
        fd = -1;
    return c;
}

static struct client *welcome(struct door *via, const struct os_datagram *m)
{
    struct daemon *d = via->g->d;
    struct address from = {m->from, m->from_size};
    char peer[sizeof from.is.sun_path + 2];
    struct mac mac;
    struct place place;
    struct err e;
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
    struct client *c = connect_back(via, &from, &place, &e);
    if (!c)
        daemon_refuse(d, REFUSED_UNREACHABLE, peer, &mac);
    return c;
}

// Whether who speaks through `via` is another client than the known one at its path, which has
// started again, or one that has connected itself anew.
static bool has_changed(const struct client *c, const struct door *via, const struct os_datagram *m)
{
    struct mac mac;
    struct mac known;
    if (c->door)
        return c->door != via && pair_replaced(&c->pair);
    return place_mac(m->data, m->size, &mac) &&
           (vnet_macs(via->g->d->v, c->pair.port.plug, &known, 1) == 0 ||
            memcmp(&mac, &known, sizeof mac) != 0) &&
           pair_replaced(&c->pair);
}

static void public_frame(struct door *via, const struct os_datagram *m)
{
    if (m->from_size <= offsetof(struct sockaddr_un, sun_path)) {
        daemon_refuse(via->g->d, REFUSED_ANONYMOUS, "", NULL);
        return;
    }
    struct client *c = find(via->g, m);
    if (c && has_changed(c, via, m)) {
        port_gone(&c->pair.port, "another client speaks from its path");
        c = NULL;
    }
    if (!c)
        c = welcome(via, m);
    if (!c)
        return;
    if (c->heard != via)
        point(&c->heard, via);
    port_input(&c->pair.port, m->data, m->size);
}

static void on_frames(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct door *door = arg;
    struct os_datagram *m = daemon_batch(door->g->d);
    int n = os_receive(fd, m, PORT_BATCH, true);
    struct door *held = NULL;
    point(&held, door); // while its clients come and go
    for (int i = 0; i < n; i++)
        public_frame(door, &m[i]);
    point(&held, NULL);
}

struct datagram *datagram_new(struct daemon *d, const char *path, struct err *e)
{
    struct datagram *g = xcalloc(1, sizeof *g);
    g->d = d;
    g->path = xstrdup(path);
    if (open_door(g, e) == 0)
        return g;
    free(g->path);
    free(g);
    return NULL;
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
    point(&g->door, NULL);
    free(g->path);
    free(g);
}
