// Callbacks for libslirp, and what is not for it: packets that policy forbids, pings where they
// cannot be sent, connections for which no descriptor is left. Their senders are told.
#include "vnet/egress/stack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libslirp.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "vnet/egress/fragment.h"
#include "vnet/egress/join.h"
#include "vnet/egress/message.h"
#include "vnet/egress/mss.h"
#include "vnet/egress/outbox.h"
#include "vnet/egress/refusal.h"
#include "vnet/egress/split.h"
#include "vnet/egress/translate.h"
#include "vnet/ip/bucket.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/tcp.h"
#include "vnet/switch/ethernet.h"
#include "vnet/vnet.h"

enum {
    SPARE_FILES = 16, // for what is no flow
    ECHO_REQUEST = 8,
    REFUSAL_INTERVAL = 1000000000 / 100, // as routers', see lab.h
    REFUSAL_BURST = 64,
};

struct stack {
    Slirp *slirp;
    struct translation *translation;
    struct mss *mss;
    unsigned mtu;
    uint16_t packet; // identifier of the last one that was cut
    struct outbox *out;
    struct pollfd *fds; // while they are filled in
    nfds_t count, room;
    bool pings;          // may be sent
    bool full;           // no new flows
    bool short_of_files; // so this packet was lost
    uint64_t refused;    // because of that
    int most;            // descriptors
    struct bucket refusals;
    size_t held; // bytes of a frame; 0: there is none
    uint8_t frame[ETHERNET_HEADER + UINT16_MAX];
};

// --- libslirp's callbacks ---

static void send_whole(struct stack *s, const void *data, size_t n)
{
    uint8_t *frame = outbox_put(s->out, data, n);
    if (!frame)
        return;
    translate_in(s->translation, frame, n);
    mss_in(s->mss, frame, n);
}

static void send_fragments(struct stack *s, struct fragment *whole)
{
    size_t n;
    uint8_t *frame;
    while ((n = fragment_size(whole)) > 0 && (frame = outbox_room(s->out, n))) {
        fragment_take(whole, frame);
        translate_in(s->translation, frame, n);
    }
}

static void send_segments(struct stack *s, struct split *whole)
{
    translate_in(s->translation, whole->head, sizeof whole->head);
    whole->most = mss_find(s->mss, whole->head, sizeof whole->head);
    size_t n;
    uint8_t *frame;
    while ((n = split_size(whole)) > 0 && (frame = outbox_room(s->out, n)))
        split_take(whole, frame, ++s->packet);
}

static ssize_t send_packet(const void *data, size_t n, void *arg)
{
    struct stack *s = arg;
    struct split segment;
    struct fragment packet;
    if (split_begin(&segment, data, n))
        send_segments(s, &segment);
    else if (fragment_begin(&packet, data, n, s->mtu))
        send_fragments(s, &packet);
    else
        send_whole(s, data, n);
    return (ssize_t)n;
}

static void guest_error(const char *message, void *arg)
{
    (void)message;
    (void)arg;
}

static int64_t now(void *arg)
{
    (void)arg;
    return (int64_t)clock_ns();
}

static void *timer_new(SlirpTimerCb cb, void *cb_arg, void *arg)
{
    (void)cb;
    (void)cb_arg;
    return arg; // router advertisements alone have one, and there are none
}

static void timer_free(void *timer, void *arg)
{
    (void)timer;
    (void)arg;
}

static void timer_mod(void *timer, int64_t expires, void *arg)
{
    (void)timer;
    (void)expires;
    (void)arg;
}

// For UDP it is told of a socket that could not be made, too.
static void on_fd(int fd, void *arg)
{
    struct stack *s = arg;
    s->short_of_files |= fd < 0;
}

static void on_fd_end(int fd, void *arg)
{
    (void)fd;
    (void)arg;
}

static void notify(void *arg)
{
    (void)arg;
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = now,
    .timer_new = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = on_fd,
    .unregister_poll_fd = on_fd_end,
    .notify = notify,
};

// --- beginning ---

static struct in_addr address(uint32_t a)
{
    return (struct in_addr){htonl(a)};
}

// libslirp sends to who has announced itself, and asks for all others.
static void announce(Slirp *slirp, uint32_t a)
{
    uint8_t arp[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0xee, 0xee, 0xee,
                       0xee, 0,    0x08, 0x06, 0,    1,    0x08, 0,    6,    4,
                       0,    1,    0x52, 0xee, 0xee, 0xee, 0xee, 0};
    const uint32_t octets = htonl(a);
    memcpy(arp + 28, &octets, sizeof octets);
    memcpy(arp + 38, &octets, sizeof octets);
    slirp_input(slirp, arp, sizeof arp);
}

// The kernel may or may not let this user ping (net.ipv4.ping_group_range).
static bool may_ping(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

struct stack *stack_new(unsigned mtu, bool bursts, struct translation *t, struct outbox *out)
{
    struct stack *s = xcalloc(1, sizeof *s);
    struct rlimit files;
    s->mss = mss_new(mtu, bursts);
    s->mtu = mtu;
    const SlirpConfig config = {
        .version = 4,
        .in_enabled = true,
        .vnetwork = address(VNET_EGRESS_NETWORK),
        .vnetmask = address(EGRESS_MASK),
        .vhost = address(EGRESS_SLIRP),
        .vnameserver = address(EGRESS_LAST),
        .if_mtu = mss_large_mtu(s->mss),
        .if_mru = mss_large_mtu(s->mss),
        .disable_host_loopback = true,
        .disable_dns = true,
        .disable_dhcp = true,
    };
    s->translation = t;
    s->out = out;
    s->pings = may_ping();
    s->most = getrlimit(RLIMIT_NOFILE, &files) == 0 ? (int)files.rlim_cur : 1024;
    s->slirp = slirp_new(&config, &callbacks, s);
    for (uint32_t a = EGRESS_SLIRP + 1; a < EGRESS_LAST; a++)
        announce(s->slirp, a);
    return s;
}

void stack_free(struct stack *s)
{
    slirp_cleanup(s->slirp);
    mss_free(s->mss);
    free(s->fds);
    free(s);
}

int stack_add_path(struct stack *s, uint32_t a, uint16_t port, const char *path, struct err *e)
{
    struct in_addr at = address(a);
    return slirp_add_unix(s->slirp, path, &at, port) < 0
               ? err_set(e, ERR_FAILED, "cannot forward to %s", path)
               : 0;
}

// Descriptors are given out from the lowest on: the one that is next; -1: none is left.
static int next_file(void)
{
    int lowest = dup(STDIN_FILENO);
    if (lowest >= 0)
        close(lowest);
    return lowest;
}

static bool is_loopback(int fd)
{
    struct sockaddr_in at = {0};
    socklen_t n = sizeof at;
    return getsockname(fd, (struct sockaddr *)&at, &n) == 0 &&
           at.sin_addr.s_addr == htonl(EGRESS_LOOPBACK);
}

// libslirp would make the socket itself. Here the daemon has, so that the port stays taken while
// this process is not there, and is put in the place of one that libslirp makes.
int stack_add_inlet(struct stack *s, const struct egress_message *inlet, int fd, struct err *e)
{
    int next = next_file();
    if (slirp_add_hostfwd(s->slirp, inlet->protocol == PROTOCOL_UDP, address(EGRESS_LOOPBACK), 0,
                          address(VNET_EGRESS_ROUTER), inlet->lab_port) < 0 ||
        !is_loopback(next) || dup2(fd, next) < 0)
        return err_sys(e, "cannot listen for a guest");
    return 0;
}

void stack_remove_inlet(struct stack *s, const struct egress_message *inlet)
{
    slirp_remove_hostfwd(s->slirp, inlet->protocol == PROTOCOL_UDP, address(inlet->host),
                         inlet->host_port);
}

// --- packets ---

static void count_files(struct stack *s)
{
    int next = next_file();
    s->full = next < 0 || next >= s->most - SPARE_FILES;
}

static bool is_ping(struct bytes packet, size_t header)
{
    return get8(packet, IPV4_PROTOCOL) == PROTOCOL_ICMP && get8(packet, header) == ECHO_REQUEST;
}

static bool is_syn(struct bytes packet, size_t header)
{
    return get8(packet, IPV4_PROTOCOL) == PROTOCOL_TCP &&
           !(get16(packet, IPV4_FRAGMENT) & IPV4_OFFSET) &&
           (get8(packet, header + TCP_FLAGS) & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static bool may_pass(struct stack *s, struct bytes packet)
{
    size_t header = 4 * (size_t)(get8(packet, 0) & 15);
    bool syn = is_syn(packet, header);
    if (syn)
        count_files(s);
    s->short_of_files = syn && s->full;
    return !(is_ping(packet, header) && !s->pings) && !s->short_of_files;
}

void stack_pass(struct stack *s)
{
    const struct bytes packet = {s->frame + ETHERNET_HEADER, s->held - ETHERNET_HEADER};
    uint8_t head[REFUSAL_MAX]; // as the lab knows it
    uint8_t answer[REFUSAL_MAX];
    size_t n = s->held;
    size_t known = n < sizeof head ? n : sizeof head;
    if (n == 0)
        return;
    s->held = 0;
    memcpy(head, s->frame, known);
    mss_out(s->mss, s->frame, n);
    bool passes = may_pass(s, packet) && translate_out(s->translation, s->frame, n) == PASS;
    if (passes)
        slirp_input(s->slirp, s->frame, (int)n);
    s->refused += s->short_of_files;
    if (passes && !s->short_of_files)
        return;
    size_t refusal = bucket_take(&s->refusals, clock_ns(), REFUSAL_INTERVAL, REFUSAL_BURST)
                         ? refusal_write(answer, head, known)
                         : 0;
    if (refusal > 0)
        outbox_put(s->out, answer, refusal);
}

void stack_input(struct stack *s, const uint8_t *frame, size_t n)
{
    if (n <= ETHERNET_HEADER || n > VNET_FRAME_MAX)
        return;
    size_t joined = join_segment(s->frame, s->held, sizeof s->frame, frame, n);
    if (!joined) {
        stack_pass(s);
        memcpy(s->frame, frame, n);
    }
    s->held = joined ? joined : n;
}

uint64_t stack_refused(const struct stack *s)
{
    return s->refused;
}

// --- waiting ---

static const struct {
    int slirp;
    short poll;
} events[] = {
    {SLIRP_POLL_IN, POLLIN},   {SLIRP_POLL_OUT, POLLOUT}, {SLIRP_POLL_PRI, POLLPRI},
    {SLIRP_POLL_ERR, POLLERR}, {SLIRP_POLL_HUP, POLLHUP},
};

static void append(struct stack *s, const struct pollfd *p)
{
    if (s->count == s->room) {
        s->room = 2 * s->room + 16;
        s->fds = xrealloc(s->fds, s->room * sizeof *s->fds);
    }
    s->fds[s->count++] = *p;
}

static bool is_listening(int fd)
{
    int on = 0;
    socklen_t n = sizeof on;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) == 0 && on;
}

static int add_poll(int fd, int wanted, void *arg)
{
    struct stack *s = arg;
    struct pollfd p = {.fd = fd};
    if (s->full && is_listening(fd))
        wanted = 0; // it would be ready again and again
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (wanted & events[i].slirp)
            p.events |= events[i].poll;
    append(s, &p);
    return (int)s->count - 1;
}

static int get_revents(int i, void *arg)
{
    const struct stack *s = arg;
    int found = 0;
    for (size_t e = 0; e < sizeof events / sizeof *events; e++)
        if (s->fds[i].revents & events[e].poll)
            found |= events[e].slirp;
    return found;
}

struct pollfd *stack_fill(struct stack *s, const struct pollfd *own, nfds_t n, nfds_t *count,
                          int *timeout)
{
    uint32_t ms = *timeout < 0 ? UINT32_MAX : (uint32_t)*timeout;
    if (s->full)
        count_files(s);
    s->count = 0;
    for (nfds_t i = 0; i < n; i++)
        append(s, &own[i]);
    slirp_pollfds_fill(s->slirp, &ms, add_poll, s);
    *timeout = ms > INT_MAX ? -1 : (int)ms;
    *count = s->count;
    return s->fds;
}

void stack_serve(struct stack *s, bool failed)
{
    slirp_pollfds_poll(s->slirp, failed, get_revents, s);
}
