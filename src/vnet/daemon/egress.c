// A process that may die at any time: connections through it break, the lab goes on.
#include "vnet/daemon/egress.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "base/text.h"
#include "proto/framing.h"
#include "proto/unix.h"
#include "vnet/daemon/daemon.h"
#include "vnet/daemon/inlets.h"
#include "vnet/daemon/private.h"
#include "vnet/daemon/stream.h"
#include "vnet/egress/message.h"

static_assert((int)LABFILE_PAGE_MAX <= (int)EGRESS_PAGE_MAX, "the process takes every page");

enum {
    RESTART_MS = 100, // doubled each time,
    RESTART_MAX_MS = 10000,
    STEADY_NS = 10000000, // ×1000: after this long the next one comes soon again
    IN_KERNEL = 4 << 20,
    DNS_PORT = 53,
};

struct egress {
    struct daemon *d;
    char *exe;
    pid_t pid;
    int frames, messages; // -1: there is none now
    bool up;
    struct event *readable, *writable, *heard, *restart;
    bool waits; // for `writable`
    struct queue queue;
    size_t sent; // see stream_send()
    struct framing in;
    struct egress_message policy, resolver; // as it was told
    uint64_t started, restarts, lost;
    uint64_t refused, refused_now; // flows: by its processes of before, by this one
    unsigned pause_ms;
    char why[EGRESS_TEXT_MAX]; // it ended
};

// --- what it is told ---

static int say(struct egress *x, const struct egress_message *m)
{
    return send(x->messages, m, egress_size(m), MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static void add_network(struct egress_message *m, uint32_t address, uint32_t mask)
{
    if (m->network_count == EGRESS_NETWORKS_MAX)
        return;
    m->networks[m->network_count].address = address;
    m->networks[m->network_count++].mask = mask;
}

// Private, shared and link-local addresses (RFC 1918, RFC 6598, RFC 3927), and whatever the host's
// interfaces are in.
static void add_host_lan(struct egress_message *m)
{
    struct ifaddrs *all = NULL;
    add_network(m, 0x0a000000, 0xff000000);
    add_network(m, 0xac100000, 0xfff00000);
    add_network(m, 0xc0a80000, 0xffff0000);
    add_network(m, 0x64400000, 0xffc00000);
    add_network(m, 0xa9fe0000, 0xffff0000);
    if (getifaddrs(&all) < 0)
        return;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (!i->ifa_addr || !i->ifa_netmask || i->ifa_addr->sa_family != AF_INET)
            continue;
        const struct sockaddr_in *address = (const void *)i->ifa_addr;
        const struct sockaddr_in *mask = (const void *)i->ifa_netmask;
        add_network(m, ntohl(address->sin_addr.s_addr), ntohl(mask->sin_addr.s_addr));
        // The other end of a point-to-point link is not in the mask.
        const struct sockaddr_in *peer = (const void *)i->ifa_dstaddr;
        if ((i->ifa_flags & IFF_POINTOPOINT) && peer && peer->sin_family == AF_INET)
            add_network(m, ntohl(peer->sin_addr.s_addr), UINT32_MAX);
    }
    freeifaddrs(all);
}

static int say_policy(struct egress *x)
{
    const struct labfile *lab = x->d->lab;
    struct egress_message m = egress_message(EGRESS_POLICY);
    m.open = lab->egress == LABFILE_EGRESS_HOST;
    if (m.open && lab->host_lan == LABFILE_DENY)
        add_host_lan(&m);
    if (memcmp(&m, &x->policy, sizeof m) == 0)
        return 0;
    if (say(x, &m) < 0)
        return -1;
    x->policy = m;
    return 0;
}

// The first server of IPv4 that the host asks itself, "nameserver 192.0.2.1" (resolv.conf(5)).
static uint32_t find_resolver(void)
{
    AUTO_FCLOSE FILE *f = fopen("/etc/resolv.conf", "re");
    char line[256];
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "nameserver %15[0-9.]", text) == 1 &&
            inet_pton(AF_INET, text, &address) == 1)
            return ntohl(address.s_addr);
    return 0;
}

static int say_resolver(struct egress *x)
{
    struct egress_message m = egress_message(EGRESS_RESOLVER);
    if (x->d->lab->egress == LABFILE_EGRESS_NONE)
        return 0;
    m.host = find_resolver();
    m.host_port = DNS_PORT;
    if (memcmp(&m, &x->resolver, sizeof m) == 0)
        return 0;
    if (say(x, &m) < 0)
        return -1;
    x->resolver = m;
    return 0;
}

void egress_sweep(struct egress *x)
{
    if (x->frames < 0 || x->d->lab->egress == LABFILE_EGRESS_NONE)
        return;
    say_policy(x);
    say_resolver(x);
}

// What is longer than one message: in parts, in order.
static int say_parts(struct egress *x, struct egress_message *m, const void *data, size_t n)
{
    m->size = (uint32_t)n;
    m->at = 0;
    do {
        m->n = n - m->at < sizeof m->data ? (uint32_t)(n - m->at) : sizeof m->data;
        memcpy(m->data, (const char *)data + m->at, m->n);
        if (say(x, m) < 0)
            return -1;
        m->at += m->n;
    } while (m->at < n);
    return 0;
}

// Where nobody else's socket is.
static void add_draft(const struct egress *x, struct egress_message *m)
{
    AUTO_FREE char *path = private_path(x->d->options->listen, 0);
    snprintf(m->text, sizeof m->text, "%s", path);
}

static int say_page(struct egress *x, struct egress_message *m, const char *page)
{
    m->kind = EGRESS_PAGE;
    add_draft(x, m);
    return say_parts(x, m, page, strlen(page));
}

static int say_forwards(struct egress *x)
{
    const struct labfile *lab = x->d->lab;
    for (unsigned i = 0; i < lab->forward_count; i++) {
        const struct labfile_forward *f = &lab->forwards[i];
        struct egress_message m = egress_message(EGRESS_FORWARD);
        m.protocol = f->is.protocol;
        m.lab = f->is.address;
        m.lab_port = f->is.port;
        m.host = f->host;
        m.host_port = f->host_port;
        if (f->path)
            strncpy(m.text, f->path, sizeof m.text - 1);
        if ((f->page ? say_page(x, &m, f->page) : say(x, &m)) < 0)
            return -1;
    }
    return 0;
}

static int say_dns(struct egress *x)
{
    const struct labfile *lab = x->d->lab;
    struct egress_message m = egress_message(EGRESS_DNS);
    m.protocol = IPPROTO_TCP;
    m.lab = VNET_EGRESS_DNS;
    add_draft(x, &m);
    for (m.number = 0; m.number < lab->network_count; m.number++) {
        m.lab_port = (uint16_t)(VNET_EGRESS_DNS_PORT + m.number);
        if (lab->networks[m.number].is.prefix && say(x, &m) < 0)
            return -1;
    }
    return 0;
}

static int say_start(struct egress *x)
{
    struct egress_message m = egress_message(EGRESS_START);
    m.mtu = labfile_egress_mtu(x->d->lab);
    m.bursts = !labfile_has_queues(x->d->lab);
    return say(x, &m);
}

// --- its life ---

static void close_socket(struct egress *x)
{
    if (x->readable)
        event_free(x->readable);
    if (x->writable)
        event_free(x->writable);
    if (x->heard)
        event_free(x->heard);
    x->readable = x->writable = x->heard = NULL;
    x->waits = false;
    if (x->frames >= 0)
        close(TAKE_FD(x->frames));
    if (x->messages >= 0)
        close(TAKE_FD(x->messages));
}

static void remove_draft(const struct egress *x)
{
    AUTO_FREE char *path = private_path(x->d->options->listen, 0);
    unlink(path);
}

static void explain(struct egress *x)
{
    int status = 0;
    pid_t got;
    kill(x->pid, SIGKILL); // should it go on without its sockets
    do
        got = waitpid(x->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    remove_draft(x);
    if (*x->why)
        return;
    if (WIFSIGNALED(status))
        snprintf(x->why, sizeof x->why, "killed by signal %d", WTERMSIG(status));
    else
        snprintf(x->why, sizeof x->why, "ended with %d", WEXITSTATUS(status));
}

static void start_later(struct egress *x)
{
    x->pause_ms = x->pause_ms == 0                   ? RESTART_MS
                  : 2 * x->pause_ms < RESTART_MAX_MS ? 2 * x->pause_ms
                                                     : RESTART_MAX_MS;
    event_add(x->restart, &(struct timeval){.tv_sec = x->pause_ms / 1000,
                                            .tv_usec = x->pause_ms % 1000 * 1000});
}

static void on_end(struct egress *x)
{
    close_socket(x);
    explain(x);
    queue_drop(&x->queue, &x->d->share, x->d->v, x->queue.count);
    x->in.n = x->sent = 0;
    if (clock_ns() - x->started > STEADY_NS * 1000ull)
        x->pause_ms = 0;
    start_later(x);
    log_line("egress: %s", x->why);
    daemon_event(x->d, json_pack("{s:s, s:s, s:i}", "event", "egress-down", "reason", x->why,
                                 "again_ms", (int)x->pause_ms));
    x->up = false;
    x->refused += x->refused_now;
    x->refused_now = 0;
}

static void on_message(struct egress *x, const uint8_t *data, size_t n)
{
    struct egress_message m;
    if (!egress_read(data, n, &m))
        return;
    text_clean(m.text);
    if (m.kind == EGRESS_QUERY && m.number < x->d->lab->network_count)
        vnet_dns_query(x->d->v, clock_ns(), m.number, x->restarts << 32 | (uint32_t)m.token, m.data,
                       m.n);
    if (m.kind == EGRESS_REFUSED)
        x->refused_now = m.token;
    if (m.kind == EGRESS_FAILED)
        memcpy(x->why, m.text, sizeof m.text);
    if (m.kind != EGRESS_READY || x->up)
        return;
    x->up = true;
    log_line("egress: process %d", (int)x->pid);
    daemon_event(x->d, json_pack("{s:s, s:i}", "event", "egress-up", "pid", (int)x->pid));
}

static void on_heard(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct egress *x = arg;
    struct os_datagram *in = daemon_batch(x->d);
    int n = os_receive(fd, in, PORT_BATCH, false);
    bool gone = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    for (int i = 0; i < n && !gone; i++) {
        gone = in[i].size == 0;
        on_message(x, in[i].data, in[i].size);
    }
    if (gone)
        on_end(x);
}

static void take_frame(void *v, const uint8_t *frame, size_t n)
{
    vnet_egress_input(v, clock_ns(), frame, n);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct egress *x = arg;
    struct err e;
    if (framing_fill(&x->in, fd, &e) && framing_pass(&x->in, take_frame, x->d->v, &e) == 0)
        return;
    kill(x->pid, SIGKILL); // on_heard() ends it: it may have said why
    event_del(x->readable);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct egress *x = arg;
    x->waits = false;
    egress_flush(x);
}

// The other end of each is `theirs`.
static int open_pairs(struct egress *x, int theirs[2], struct err *e)
{
    const int size = IN_KERNEL;
    int frames[2];
    int messages[2];
    if (unix_pair(frames, e) < 0)
        return -1;
    x->frames = frames[0];
    theirs[0] = frames[1];
    if (os_message_pair(messages) < 0)
        return err_sys(e, "cannot start the egress");
    x->messages = messages[0];
    theirs[1] = messages[1];
    for (int i = 0; i < 2; i++) {
        setsockopt(frames[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        setsockopt(messages[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
    return 0;
}

static void say_all(struct egress *x)
{
    if (say_policy(x) < 0 || say_resolver(x) < 0 || say_forwards(x) < 0 || say_dns(x) < 0 ||
        say_start(x) < 0)
        log_line("egress: %s", strerror(errno)); // its end shows at once
    inlets_say(x->d);
    fcntl(x->messages, F_SETFL, O_NONBLOCK);
}

static int spawn_it(struct egress *x, const int theirs[2], struct err *e)
{
    char *const argv[] = {x->exe, (char *)"egress", NULL};
    *x->why = 0;
    x->policy = x->resolver = (struct egress_message){0};
    x->pid = spawn(&(struct spawn){.argv = argv,
                                   .in = theirs[0],
                                   .out = theirs[1],
                                   .err = -1,
                                   .cwd_fd = -1,
                                   .die_with_parent = true,
                                   .new_session = true},
                   e);
    return x->pid < 0 ? err_wrap(e, "cannot start the egress") : 0;
}

static int start(struct egress *x, struct err *e)
{
    int theirs[] = {-1, -1};
    x->started = clock_ns();
    int result = open_pairs(x, theirs, e) < 0 ? -1 : spawn_it(x, theirs, e);
    for (int i = 0; i < 2; i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    if (result < 0) {
        close_socket(x);
        return -1;
    }
    x->readable = event_new(x->d->base, x->frames, EV_READ | EV_PERSIST, on_readable, x);
    x->writable = event_new(x->d->base, x->frames, EV_WRITE, on_writable, x);
    x->heard = event_new(x->d->base, x->messages, EV_READ | EV_PERSIST, on_heard, x);
    event_add(x->readable, NULL);
    event_add(x->heard, NULL);
    say_all(x);
    return 0;
}

static void start_or_later(struct egress *x)
{
    struct err e;
    if (start(x, &e) == 0)
        return;
    log_line("%s", e.msg);
    start_later(x);
}

static void on_restart(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct egress *x = arg;
    x->restarts++;
    start_or_later(x);
}

int egress_open(struct daemon *d, const char *exe, struct err *e)
{
    struct egress *x = d->egress = xcalloc(1, sizeof *x);
    x->d = d;
    x->frames = x->messages = -1;
    framing_init(&x->in);
    x->exe = xstrdup(exe);
    x->restart = evtimer_new(d->base, on_restart, x);
    bool leads_out = d->lab->egress == LABFILE_EGRESS_HOST || d->lab->forward_count > 0;
    return leads_out ? start(x, e) : 0;
}

void egress_free(struct egress *x)
{
    if (!x)
        return;
    bool runs = x->frames >= 0;
    close_socket(x);
    if (runs)
        explain(x);
    queue_drop(&x->queue, &x->d->share, x->d->v, x->queue.count);
    event_free(x->restart);
    framing_fini(&x->in);
    free(x->exe);
    free(x);
}

// --- frames ---

void egress_output(struct egress *x, struct frame *f)
{
    if (x->started == 0)
        start_or_later(x);
    if (x->frames < 0 || !queue_put(&x->queue, &x->d->share, f))
        x->lost++;
}

void egress_flush(struct egress *x)
{
    struct frame *frames[PORT_BATCH];
    unsigned n;
    while (x->frames >= 0 && !x->waits && (n = queue_peek(&x->queue, frames, PORT_BATCH)) > 0) {
        int sent = stream_send(x->frames, &x->sent, frames, n);
        if (sent > 0) {
            queue_drop(&x->queue, &x->d->share, x->d->v, (unsigned)sent);
        } else if (errno == EAGAIN) {
            x->waits = true;
            event_add(x->writable, NULL);
        } else if (errno != EINTR) {
            return; // it has ended, as on_readable() will see
        }
    }
}

void egress_say_inlet(struct egress *x, const struct egress_message *inlet, int fd)
{
    struct pollfd room = {.fd = x->messages, .events = POLLOUT};
    if (x->messages < 0)
        return;
    if (x->up && poll(&room, 1, 0) == 0) { // it reads nothing: the next one is told everything
        log_line("egress: it takes no port");
        kill(x->pid, SIGKILL);
    } else if (unix_send(x->messages, (const char *)inlet, egress_size(inlet), &fd, fd >= 0) < 0) {
        log_line("egress: it takes no port: %s", strerror(errno));
    }
}

void egress_dns_answer(struct egress *x, uint64_t token, const uint8_t *message, size_t n)
{
    struct egress_message m = egress_message(EGRESS_ANSWER);
    if (x->frames < 0 || token >> 32 != x->restarts)
        return; // who asked is gone
    m.token = (uint32_t)token;
    say_parts(x, &m, message, n);
}

json_t *egress_document(const struct daemon *d)
{
    const struct egress *x = d->egress;
    return json_pack("{s:s, s:s, s:o, s:I, s:I, s:I}", "egress",
                     d->lab->egress == LABFILE_EGRESS_HOST ? "host" : "none", "host_lan",
                     d->lab->host_lan == LABFILE_ALLOW ? "allow" : "deny", "pid",
                     x->up ? json_integer(x->pid) : json_null(), "restarts",
                     (json_int_t)x->restarts, "lost", (json_int_t)x->lost, "refused",
                     (json_int_t)x->refused + (json_int_t)x->refused_now);
}
