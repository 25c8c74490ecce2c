// One read or write a frame: TAP devices have no batches.
#include "vnet/daemon/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/worker.h"
#include "vnet/daemon/daemon.h"

static int send_frames(struct port *p, struct frame *const *frames, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (write(p->fd, vnet_frame_data(frames[i]), vnet_frame_size(frames[i])) < 0)
            return i > 0 ? (int)i : -1;
    return (int)n;
}

static void read_frames(struct port *p)
{
    const struct os_datagram *d = daemon_batch(p->d);
    for (int i = 0; i < PORT_BATCH; i++) {
        ssize_t n = read(p->fd, d[0].data, d[0].size);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            port_gone(p, strerror(errno));
        if (n < 0)
            return;
        port_input(p, d[0].data, (size_t)n);
    }
}

// A device that was deleted shows an error.
static enum presence look(const struct port *p)
{
    struct pollfd fd = {.fd = p->fd};
    return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLERR | POLLNVAL)) ? ABSENT : PRESENT;
}

struct closing {
    struct daemon *d;
    int fd;
};

static int close_device(void *arg, struct err *e)
{
    (void)e;
    return close(((struct closing *)arg)->fd);
}

static void on_closed(void *arg, int result, struct err *e)
{
    (void)result;
    (void)e;
    struct closing *c = arg;
    c->d->closing--;
    free(c);
}

// Where `vnet plug` was killed this is the device's end, for which the kernel takes 20 ms: not in
// the loop.
static void hang_up(struct port *p)
{
    struct err e;
    struct closing *c = xcalloc(1, sizeof *c);
    *c = (struct closing){p->d, p->fd};
    c->d->closing++;
    if (worker_start(p->d->base, close_device, on_closed, c, &e) < 0)
        on_closed(c, close_device(c, &e), &e);
}

static void free_tap(struct port *p)
{
    free(p);
}

static const struct port_ops tap_ops = {
    .kind = "tap",
    .send = send_frames,
    .look = look,
    .read = read_frames,
    .hang_up = hang_up,
    .free = free_tap,
};

struct port *tap_attach(struct daemon *d, int fd, const struct place *place, struct err *e)
{
    char name[OS_TAP_NAME];
    if (os_tap_name(fd, name) < 0) {
        err_set(e, ERR_USAGE, "the descriptor is no TAP device (IFF_TAP, IFF_NO_PI)");
        return NULL;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct port *p = xcalloc(1, sizeof *p);
    if (port_open(d, p, &tap_ops, fd, place, name, e) < 0) {
        free(p);
        return NULL;
    }
    port_listen(p, true);
    return p;
}
