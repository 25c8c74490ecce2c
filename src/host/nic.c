// Connecting a datagram socket to a server that may come, go, hang and come back.
//
// That a plain server is gone cannot be seen by waiting: a connected AF_UNIX datagram socket whose
// peer closed just fails to send, and it is the engine that sends. So a timer looks: at the path's
// inode (another one: a new server) and with a scratch connect() (refused: nobody is there).
//
// Our vnet tells by its control connection, and renames sockets over its path all the time: there
// neither look would be of use. Nor can its NIC go deaf: it has no datagrams.
#include "host/nic.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/nic-socket.h"
#include "host/nic-vnet.h"
#include "proto/datagram.h"

enum {
    // Looks without one frame leaving the receive queue after which a NIC that sends counts as
    // deaf: QEMU stops reading for good at a datagram of length zero.
    DEAF_LOOKS = 5,
    // Looks for which a vnet that ended is awaited, before another server at its path is used: a
    // vnet that starts may have its datagram socket before its control socket.
    VNET_LOOKS = 5,
};

enum kind { NOBODY, PLAIN, VNET };

struct nic {
    struct event_base *base;
    char *id;
    struct mac mac;
    char *path; // our own address
    ino_t path_ino;
    char *server; // NULL: none wanted
    int fd;
    enum kind kind; // of server the socket is connected to
    bool up;        // the guest's cable
    bool held;
    struct socket_file server_file; // the plain server we are connected to
    struct nic_vnet *vnet;          // being asked, or where our plug is
    struct socket_file asked;       // whose control socket
    struct socket_file stranger;    // a control socket that is not a vnet's
    int vnet_looks;                 // for which a vnet is awaited
    struct nic_hooks hooks;
    nic_settled *settled; // of the last nic_attach(); NULL: told
    void *settled_arg;
    struct event *timer;
    uint64_t stuck_frame; // digest of the frame at the head of the receive queue
    int stuck_looks;
    struct event *sending; // told while a frame is stuck: NULL else
    int sendings;
    int reconnects;
};

static void set_link(struct nic *n, bool up)
{
    if (n->up == up)
        return;
    n->up = up;
    n->hooks.link(n->hooks.arg, up);
}

static void settle(struct nic *n)
{
    nic_settled *settled = TAKE_PTR(n->settled);
    if (settled)
        settled(n->settled_arg, nic_status(n));
}

static void connected(struct nic *n, enum kind kind, const char *how)
{
    n->kind = kind;
    n->reconnects++;
    log_line("nic: connected to %s%s", n->server, how);
    set_link(n, true);
}

// --- the frame that nobody reads ---

// The socket has room for more, which is said at once and whenever a server has read a frame of the
// guest's. Twice will do.
static void on_sending(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct nic *n = arg;
    if (++n->sendings >= 2)
        event_del(n->sending);
}

static void listen_to_guest(struct nic *n, bool listen)
{
    if (n->sending)
        event_free(TAKE_PTR(n->sending));
    n->sendings = 0;
    if (!listen)
        return;
    n->sending = event_new(n->base, n->fd, EV_WRITE | EV_ET | EV_PERSIST, on_sending, n);
    event_add(n->sending, NULL);
}

static void forget_stuck(struct nic *n)
{
    n->stuck_looks = 0;
    listen_to_guest(n, false);
}

// --- leaving a server ---

// A fresh socket under the old name, for the engine too, connected to nobody. What a server that
// hangs has not read of the old one would hold up the guest and the next server's frames. False:
// there is none, and the old one stays.
static bool renew_socket(struct nic *n)
{
    struct err e;
    int fd = datagram_socket();
    if (fd < 0 || nic_socket_bind(fd, n->path, &n->path_ino, &e) < 0) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    forget_stuck(n);
    nic_socket_disconnect(n->fd); // the engine has it yet, and what waits in it is for nobody
    close(n->fd);
    n->fd = fd;
    n->kind = NOBODY;
    n->hooks.socket(n->hooks.arg);
    return true;
}

static void leave_plain(struct nic *n)
{
    if (n->kind == PLAIN && !renew_socket(n))
        nic_socket_disconnect(n->fd);
}

// The connection to a vnet stays, to tell.
static void leave(struct nic *n)
{
    enum kind before = n->kind;
    leave_plain(n);
    n->kind = NOBODY;
    if (before == VNET)
        n->hooks.socket(n->hooks.arg);
}

static void disconnect(struct nic *n)
{
    leave(n);
    nic_vnet_close(TAKE_PTR(n->vnet));
    set_link(n, false);
}

// --- a plain server ---

static bool connect_plain(struct nic *n)
{
    struct socket_file file;
    if (!socket_file_find(n->server, &file) || nic_socket_connect(n->fd, n->server) < 0)
        return false;
    n->server_file = file;
    connected(n, PLAIN, "");
    return true;
}

// --- our vnet ---

static void on_vnet(void *arg);

// False: nobody is there to be asked, or one who was asked before.
static bool ask_vnet(struct nic *n)
{
    AUTO_FREE char *control = nic_vnet_control(n->server);
    nic_vnet_close(TAKE_PTR(n->vnet));
    if (!socket_file_find(control, &n->asked) || socket_file_same(&n->asked, &n->stranger))
        return false;
    const struct nic_vnet_client client = {.server = n->server,
                                           .path = n->path,
                                           .name = n->id,
                                           .mac = n->mac,
                                           .changed = on_vnet,
                                           .arg = n};
    n->vnet = nic_vnet_open(n->base, &client);
    return n->vnet != NULL;
}

static void on_stranger(struct nic *n)
{
    nic_vnet_close(TAKE_PTR(n->vnet));
    n->stranger = n->asked;
    if (n->kind == NOBODY && !connect_plain(n))
        set_link(n, false);
}

static void on_plugged(struct nic *n)
{
    leave_plain(n); // it had no control socket at first
    forget_stuck(n);
    n->kind = VNET;
    n->hooks.socket(n->hooks.arg); // before the cable: with that guests begin to speak
    connected(n, VNET, ", a vnet");
}

// Asked again only when vnet starts anew or at the next attach: its connection stays, to tell.
static void on_refused(struct nic *n)
{
    log_line("nic: vnet at %s: %s", n->server, nic_vnet_why(n->vnet));
    leave(n);
    set_link(n, false);
}

static void on_lost(struct nic *n)
{
    log_line("nic: vnet at %s is gone", n->server);
    disconnect(n);
    n->vnet_looks = VNET_LOOKS;
}

static void on_vnet(void *arg)
{
    struct nic *n = arg;
    switch (nic_vnet_state(n->vnet)) {
    case NIC_VNET_ASKING: // it takes its time
        if (n->kind == NOBODY)
            set_link(n, false);
        break;
    case NIC_VNET_STRANGER:
        on_stranger(n);
        break;
    case NIC_VNET_PLUGGED:
        on_plugged(n);
        break;
    case NIC_VNET_REFUSED:
        on_refused(n);
        break;
    case NIC_VNET_LOST:
        on_lost(n);
        break;
    }
    settle(n);
}

// --- whichever it is ---

// Connects the socket, now or when vnet has answered. The cable stays as it is until then: who
// replaces a socket under a guest that is connected does not want it pulled.
static void begin(struct nic *n)
{
    if (ask_vnet(n) || (n->vnet_looks == 0 && connect_plain(n)))
        return;
    set_link(n, false);
}

// --- looks ---

static void look_at_server(struct nic *n)
{
    struct socket_file now;
    if (!socket_file_find(n->server, &now) || !datagram_answers(n->server)) {
        log_line("nic: the server at %s is gone", n->server);
        disconnect(n);
        return;
    }
    if (!socket_file_same(&now, &n->server_file)) {
        n->stranger = (struct socket_file){0};
        renew_socket(n);
        connect_plain(n);
    }
    ask_vnet(n); // it may have had no control socket yet when we connected
}

// The same frame at the head of the queue for many looks, and meanwhile the guest sent some: it is
// no guest that has no driver yet, or is paused, but a NIC that reads no more.
static void look_at_queue(struct nic *n)
{
    uint64_t frame;
    if (!nic_socket_head(n->fd, &frame)) {
        forget_stuck(n);
    } else if (!n->sending || frame != n->stuck_frame) {
        forget_stuck(n);
        n->stuck_frame = frame;
        listen_to_guest(n, true);
    } else if (++n->stuck_looks >= DEAF_LOOKS && n->sendings >= 2) {
        log_line("nic: nothing reads its frames; replacing its socket");
        if (renew_socket(n))
            begin(n);
    }
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct nic *n = arg;
    if (!n->server || n->held)
        return;
    if (n->vnet_looks > 0)
        n->vnet_looks--;
    if (!n->vnet && n->kind == PLAIN)
        look_at_server(n);
    else if (!n->vnet) // which tells by itself
        begin(n);
    if (n->kind == PLAIN)
        look_at_queue(n);
}

static int make_socket(struct nic *n, const struct store *s, struct err *e)
{
    n->fd = n->fd < 0 ? datagram_socket() : n->fd;
    if (n->fd < 0)
        return err_sys(e, "cannot make the NIC's socket");
    n->path = xasprintf("/tmp/qemu-dgram-%s.sock", n->id);
    if (!datagram_answers(n->path) && nic_socket_bind(n->fd, n->path, &n->path_ino, e) == 0)
        return 0;
    free(TAKE_PTR(n->path));
    if (runtime_path(s, n->id, RUNTIME_NIC, &n->path, e) < 0)
        return -1;
    return nic_socket_bind(n->fd, n->path, &n->path_ino, e);
}

struct nic *nic_new(struct event_base *base, const struct store *s, const char *id, struct mac mac,
                    int fd, const struct nic_hooks *hooks, struct err *e)
{
    struct nic *n = xcalloc(1, sizeof *n);
    *n = (struct nic){.base = base, .id = xstrdup(id), .mac = mac, .hooks = *hooks, .fd = fd};
    n->timer = event_new(base, -1, EV_PERSIST, on_look, n);
    event_add(n->timer, &(struct timeval){.tv_usec = hooks->look_ms * 1000});
    if (make_socket(n, s, e) == 0)
        return n;
    nic_free(n);
    return NULL;
}

void nic_free(struct nic *n)
{
    if (!n)
        return;
    struct socket_file now;
    event_free(n->timer);
    forget_stuck(n);
    nic_vnet_close(n->vnet);
    if (n->path && socket_file_find(n->path, &now) && now.ino == n->path_ino)
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
    return n->kind == VNET ? nic_vnet_fd(n->vnet) : n->fd;
}

bool nic_up(const struct nic *n)
{
    return n->up || n->held;
}

void nic_attach(struct nic *n, const char *server, nic_settled *settled, void *arg)
{
    settle(n); // who asked before is told of the state that this one changes
    disconnect(n);
    free(n->server);
    n->server = xstrdup(server);
    n->vnet_looks = 0;
    n->stranger = (struct socket_file){0};
    n->settled = settled;
    n->settled_arg = arg;
    if (server && !n->held)
        begin(n);
    if (!n->vnet)
        settle(n);
}

void nic_hold(struct nic *n, bool held)
{
    n->held = held;
    if (held)
        disconnect(n);
    else if (n->server && n->kind == NOBODY && !n->vnet)
        begin(n);
}

void nic_set_mac(struct nic *n, struct mac mac)
{
    n->mac = mac;
}

json_t *nic_status(const struct nic *n)
{
    static const char *const kinds[] = {[NOBODY] = NULL, [PLAIN] = "plain", [VNET] = "vnet"};
    int size = 0;
    socklen_t len = sizeof size;
    getsockopt(nic_fd(n), SOL_SOCKET, SO_SNDBUF, &size, &len);
    json_t *status = json_pack("{s:s, s:s?, s:b, s:s*, s:i, s:i}", "path", n->path, "server",
                               n->server, "connected", n->up, "kind", kinds[n->kind], "sndbuf",
                               size, "reconnects", n->reconnects > 0 ? n->reconnects - 1 : 0);
    if (n->kind == VNET)
        json_object_set_new(status, "plug", json_integer(nic_vnet_plug(n->vnet)));
    if (n->vnet && nic_vnet_state(n->vnet) == NIC_VNET_REFUSED)
        json_object_set_new(status, "note", json_string(nic_vnet_why(n->vnet)));
    return status;
}
