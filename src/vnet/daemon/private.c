// A pair that begins with a path.
#include "vnet/daemon/private.h"

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/unix.h"
#include "vnet/daemon/daemon.h"
#include "vnet/daemon/datagram.h"
#include "vnet/daemon/pair.h"

struct private
{
    struct pair pair;
    char *address;
    bool mutual;     // connected back: nobody else can send to it
    bool ours_alone; // nothing from others is left in the socket
};

static void free_private(struct port *p)
{
    struct private *own = (struct private *)p;
    unlink(own->address);
    free(own->address);
    free(own);
}

// Until the client has connected, it is the control connection that tells whether it is there.
static enum presence look(const struct port *p)
{
    return ((const struct private *)p)->mutual ? pair_look(p) : PRESENT;
}

static int send_connected(struct port *p, struct frame *const *frames, unsigned n)
{
    return pair_send_to(p, NULL, frames, n);
}

static void read_frames(struct port *port)
{
    struct private *p = (struct private *)port;
    struct os_datagram *d = daemon_batch(port->d);
    int n = os_receive(port->fd, d, PORT_BATCH, !p->ours_alone);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        port_gone(port, strerror(errno));
        return;
    }
    for (int i = 0; i < n; i++)
        if (p->ours_alone || address_equal(&p->pair.peer, &d[i].from, d[i].from_size))
            port_input(port, d[i].data, d[i].size);
    p->ours_alone = p->ours_alone || n < PORT_BATCH;
}

static const struct port_ops private_ops = {
    .kind = "private",
    .send = send_connected,
    .look = look,
    .read = read_frames,
    .free = free_private,
};

char *private_path(const char *listen, uint64_t n)
{
    return xasprintf("%s.%llu", listen, (unsigned long long)n);
}

static bool is_number(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

void private_sweep(const char *listen)
{
    AUTO_FREE char *directory = xstrdup(listen);
    const char *name = strrchr(listen, '/') + 1;
    size_t n = strlen(name);
    directory[name - listen] = 0;
    AUTO_CLOSEDIR DIR *dir = opendir(directory);
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        if (strncmp(entry->d_name, name, n) == 0 && entry->d_name[n] == '.' &&
            is_number(entry->d_name + n + 1))
            unlinkat(dirfd(dir), entry->d_name, 0);
}

struct port *private_open(struct daemon *d, const char *address, const char *path,
                          const struct place *place, struct err *e)
{
    struct sockaddr_un peer;
    if (socket_path_check(path, e) < 0 || unix_address(path, &peer, e) < 0)
        return NULL;
    AUTO_CLOSE int fd = datagram_bind(address, e);
    if (fd < 0)
        return NULL;
    struct private *p = xcalloc(1, sizeof *p);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
    pair_init(&p->pair, &(struct address){peer, size});
    if (port_open(d, &p->pair.port, &private_ops, fd, place, path, e) < 0) {
        unlink(address);
        free(p);
        return NULL;
    }
    fd = -1;
    p->address = xstrdup(address);
    port_hold(&p->pair.port);
    return &p->pair.port;
}

const char *private_address(const struct port *p)
{
    return p->ops == &private_ops ? ((const struct private *)p)->address : NULL;
}

int private_connect(struct port *port, struct err *e)
{
    struct private *p = (struct private *)port;
    if (port->ops != &private_ops)
        return err_set(e, ERR_USAGE, "plug %u is not private", port->plug);
    if (connect(port->fd, (struct sockaddr *)&p->pair.peer.is, p->pair.peer.size) < 0)
        return err_sys(e, "cannot connect to %s", port->peer);
    p->mutual = true;
    pair_init(&p->pair, &p->pair.peer);
    port_listen(port, true);
    port_go_on(port);
    return 0;
}
