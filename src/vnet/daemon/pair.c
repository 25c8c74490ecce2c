// Sending and reading in batches, and finding out whether a silent client is still there.
#include "vnet/daemon/pair.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/unix.h"
#include "vnet/daemon/daemon.h"

// Bounds the frames in flight to a client; net.core.wmem_max may give less.
enum { SNDBUF = 4 << 20 };

bool address_equal(const struct address *a, const struct sockaddr_un *b, socklen_t size)
{
    return a->size == size && memcmp(&a->is, b, size) == 0;
}

static bool is_abstract(const struct address *a)
{
    return a->is.sun_path[0] == 0;
}

void address_text(const struct address *a, char *out, size_t n)
{
    size_t length = a->size - offsetof(struct sockaddr_un, sun_path);
    if (is_abstract(a))
        snprintf(out, n, "@%.*s", (int)length - 1, a->is.sun_path + 1);
    else
        snprintf(out, n, "%.*s", (int)length, a->is.sun_path);
}

int pair_socket(struct err *e)
{
    int size = SNDBUF;
    int fd = unix_datagram(e);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return fd;
}

static bool stat_peer(const struct pair *p, struct stat *st)
{
    char path[sizeof p->peer.is.sun_path + 2];
    address_text(&p->peer, path, sizeof path);
    return stat(path, st) == 0;
}

void pair_init(struct pair *p, const struct address *peer)
{
    struct stat st;
    p->peer = *peer;
    if (is_abstract(peer) || !stat_peer(p, &st))
        return;
    p->dev = st.st_dev;
    p->ino = st.st_ino;
    p->made = os_modified(&st);
}

bool pair_replaced(const struct pair *p)
{
    struct stat st;
    if (is_abstract(&p->peer) || !stat_peer(p, &st))
        return false;
    struct timespec made = os_modified(&st);
    return st.st_dev != p->dev || st.st_ino != p->ino || made.tv_sec != p->made.tv_sec ||
           made.tv_nsec != p->made.tv_nsec;
}

int pair_send(struct port *p, struct frame *const *frames, unsigned n)
{
    struct os_datagram d[PORT_BATCH];
    for (unsigned i = 0; i < n; i++) {
        d[i].data = (void *)vnet_frame_data(frames[i]);
        d[i].size = vnet_frame_size(frames[i]);
    }
    return os_send(p->fd, d, (int)n);
}

void pair_read(struct port *port)
{
    struct pair *p = (struct pair *)port;
    struct os_datagram *d = daemon_batch(port->d);
    int n = os_receive(port->fd, d, PORT_BATCH, !p->ours_alone);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        port_gone(port, strerror(errno));
        return;
    }
    for (int i = 0; i < n; i++) {
        if (p->ours_alone || address_equal(&p->peer, &d[i].from, d[i].from_size))
            port_input(port, d[i].data, d[i].size);
        else if (p->stray)
            p->stray(port->d, port->fd, &d[i]);
    }
    p->ours_alone = p->ours_alone || n < PORT_BATCH;
}

// EPERM: somebody is there who accepts frames only from the socket that it is connected to.
enum presence pair_look(const struct port *port)
{
    const struct pair *p = (const struct pair *)port;
    struct err ignored;
    AUTO_CLOSE int scratch = unix_datagram(&ignored);
    if (scratch < 0)
        return PRESENT;
    if (pair_replaced(p))
        return ABSENT;
    if (connect(scratch, (const struct sockaddr *)&p->peer.is, p->peer.size) == 0)
        return PRESENT;
    return errno == ECONNREFUSED ? ABSENT : errno == ENOENT ? UNSEEN : PRESENT;
}
