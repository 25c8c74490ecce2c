// Connecting a datagram socket to a server that may come, go, hang and come back.
//
// A server that is gone cannot be seen by waiting: a connected AF_UNIX datagram socket whose peer
// closed just fails to send, and it is the engine that sends. So a timer looks: at the path's inode
// (another one: a new server) and with a scratch connect() (refused: nobody is there).
#include "host/nic.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/nic-socket.h"

enum {
    LOOK_MS = 200,
    // Looks without one frame leaving the receive queue after which the NIC counts as deaf: QEMU
    // stops reading for good at a datagram of length zero.
    DEAF_LOOKS = 5,
};

struct nic {
    char *id;
    char *path; // our own address
    ino_t path_ino;
    char *server; // NULL: none wanted
    int fd;
    bool connected;
    bool held;
    struct nic_file server_file; // the one we are connected to
    struct nic_hooks hooks;
    struct event *timer;
    uint64_t stuck_frame; // digest of the frame at the head of the receive queue
    int stuck_looks;
    int reconnects;
};

static void set_link(struct nic *n, bool up)
{
    if (n->connected == up)
        return;
    n->connected = up;
    n->hooks.link(n->hooks.arg, up);
}

static bool try_connect(struct nic *n)
{
    struct nic_file file;
    if (!nic_file_find(n->server, &file) || nic_socket_connect(n->fd, n->server) < 0)
        return false;
    n->server_file = file;
    n->reconnects++;
    log_line("nic: connected to %s", n->server);
    set_link(n, true);
    return true;
}

static void disconnect(struct nic *n)
{
    nic_socket_disconnect(n->fd);
    set_link(n, false);
}

// A fresh socket under the old name, for the engine too: frames stuck in the old one go.
static void replace_socket(struct nic *n)
{
    struct err e;
    int fd = nic_socket_new();
    if (fd < 0 || nic_socket_bind(fd, n->path, &n->path_ino, &e) < 0) {
        if (fd >= 0)
            close(fd);
        return;
    }
    close(n->fd);
    n->fd = fd;
    n->stuck_looks = 0;
    if (n->server && !n->held && !try_connect(n))
        set_link(n, false);
    n->hooks.socket(n->hooks.arg, fd);
}

static void look_at_server(struct nic *n)
{
    struct nic_file now;
    if (!nic_file_find(n->server, &now) || !nic_socket_alive(n->server)) {
        log_line("nic: the server at %s is gone", n->server);
        disconnect(n);
    } else if (!nic_file_same(&now, &n->server_file)) {
        try_connect(n);
    }
}

// The same frame at the head of the queue for many looks: nobody reads. Whether the NIC is deaf or
// its guest just has no driver yet cannot be told; a fresh socket harms neither.
static void look_at_queue(struct nic *n)
{
    uint64_t frame;
    if (!nic_socket_head(n->fd, &frame)) {
        n->stuck_looks = 0;
        return;
    }
    n->stuck_looks = frame == n->stuck_frame ? n->stuck_looks + 1 : 0;
    n->stuck_frame = frame;
    if (n->stuck_looks == DEAF_LOOKS) {
        log_line("nic: nothing reads its frames; replacing its socket");
        replace_socket(n);
    }
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct nic *n = arg;
    if (!n->server || n->held)
        return;
    if (n->connected)
        look_at_server(n);
    else
        try_connect(n);
    if (n->connected)
        look_at_queue(n);
}

static int make_socket(struct nic *n, const struct store *s, struct err *e)
{
    n->fd = nic_socket_new();
    if (n->fd < 0)
        return err_sys(e, "cannot make the NIC's socket");
    n->path = xasprintf("/tmp/qemu-dgram-%s.sock", n->id);
    if (!nic_socket_alive(n->path) && nic_socket_bind(n->fd, n->path, &n->path_ino, e) == 0)
        return 0;
    free(TAKE_PTR(n->path));
    if (runtime_path(s, n->id, RUNTIME_NIC, &n->path, e) < 0)
        return -1;
    return nic_socket_bind(n->fd, n->path, &n->path_ino, e);
}

struct nic *nic_new(struct event_base *base, const struct store *s, const char *id,
                    const struct nic_hooks *hooks, struct err *e)
{
    struct nic *n = xcalloc(1, sizeof *n);
    *n = (struct nic){.id = xstrdup(id), .hooks = *hooks, .fd = -1};
    n->timer = event_new(base, -1, EV_PERSIST, on_look, n);
    event_add(n->timer, &(struct timeval){.tv_usec = LOOK_MS * 1000});
    if (make_socket(n, s, e) == 0)
        return n;
    nic_free(n);
    return NULL;
}

void nic_free(struct nic *n)
{
    if (!n)
        return;
    struct nic_file now;
    event_free(n->timer);
    if (n->path && nic_file_find(n->path, &now) && now.ino == n->path_ino)
        unlink(n->path); // ours still, not that of a VM of the same name in another bundle
    if (n->fd >= 0)
        close(n->fd);
    free(n->path);
    free(n->server);
    free(n->id);
    free(n);
}

int nic_fd(const struct nic *n)
{
    return n->fd;
}

bool nic_up(const struct nic *n)
{
    return n->connected || n->held;
}

void nic_attach(struct nic *n, const char *server)
{
    bool moved = n->connected;
    if (n->connected)
        disconnect(n);
    free(n->server);
    n->server = xstrdup(server);
    if (!server || n->held)
        return;
    if (moved) // frames that an old, stuck server holds would hold up the new one
        replace_socket(n);
    else
        try_connect(n);
}

void nic_hold(struct nic *n, bool held)
{
    n->held = held;
    if (held && n->connected)
        disconnect(n);
    else if (!held && n->server && !n->connected)
        try_connect(n);
}

json_t *nic_status(const struct nic *n)
{
    int size = 0;
    socklen_t len = sizeof size;
    getsockopt(n->fd, SOL_SOCKET, SO_SNDBUF, &size, &len);
    return json_pack("{s:s, s:s?, s:b, s:i, s:i}", "path", n->path, "server", n->server,
                     "connected", n->connected, "sndbuf", size, "reconnects",
                     n->reconnects > 0 ? n->reconnects - 1 : 0);
}
