// A pair that begins with a path.
#include "vnet/daemon/private.h"

#include <dirent.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/unix.h"
#include "vnet/daemon/datagram.h"
#include "vnet/daemon/pair.h"

struct private
{
    struct pair pair;
    char *address;
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
    return ((const struct pair *)p)->mutual ? pair_look(p) : PRESENT;
}

static const struct port_ops private_ops = {
    .kind = "private",
    .send = pair_send,
    .look = look,
    .read = pair_read,
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
    struct pair *p = (struct pair *)port;
    if (port->ops != &private_ops)
        return err_set(e, ERR_USAGE, "plug %u is not private", port->plug);
    if (connect(port->fd, (struct sockaddr *)&p->peer.is, p->peer.size) < 0)
        return err_sys(e, "cannot connect to %s", port->peer);
    p->mutual = true;
    pair_init(p, &p->peer);
    port_listen(port, true);
    port_go_on(port);
    return 0;
}
