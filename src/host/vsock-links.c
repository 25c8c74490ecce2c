// Connections, as states and flags of what has to be said next.
//
// A connection is in the table as long as the guest knows of it. Where the guest has closed it and
// the program has not read all, it goes on outside the table (`over`) until it has.
#include "host/vsock-links.h"

#include <errno.h>
#include <event2/buffer.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
    BUCKETS = 256,
    STRAYS_MAX = 128,        // resets that belong to no connection
    FIRST_PORT = 1 << 30,    // of the host's ends, as Firecracker has them
    CALL_MS = 5000,          // for a program's connection to be accepted
    DIAL_MS = 2000,          // for a program that has no room; Linux gives up then, too
    DIAL_STEP_MS = 10,       // between two tries
    TELL = VSOCK_WINDOW / 4, // bytes of credit worth a packet of their own
};

enum link_state {
    DIALING, // the guest asked; the program has no room yet
    CALLING, // the guest is asked
    OPEN,
    OVER, // nothing is between it and the guest any more, but perhaps a reset to be sent
};

// What has to be said, the first first.
enum {
    SAY_RST = 1,
    SAY_REQUEST = 2,
    SAY_RESPONSE = 4,
    SAY_SHUTDOWN = 8,
    SAY_CREDIT = 16,
    ASK = 32
};

struct link {
    struct links *all;
    uint32_t host_port, guest_port;
    enum link_state state;
    unsigned say;
    bool listed; // in the table
    bool queued; // to say something
    bool greet;
    int fd; // -1: none yet, or no more
    struct event *read, *write, *timer;
    int64_t deadline;
    LIST_ENTRY(link) bucket;
    LIST_ENTRY(link) every;
    TAILQ_ENTRY(link) turn;

    // To the guest.
    bool readable;         // the socket may have bytes
    bool ended;            // it has none any more
    bool asked;            // for credit, since there was some
    unsigned no_more;      // VSOCK_NO_…: what we told
    uint32_t sent;         // bytes, ever
    uint32_t guest_window; // its buf_alloc
    uint32_t guest_read;   // its fwd_cnt

    // From the guest.
    struct evbuffer *unwritten;
    unsigned guest_no_more; // VSOCK_NO_…: what it told
    uint32_t taken;         // bytes that the program has, ever: our fwd_cnt
    uint32_t told;          // of these
};

struct links {
    struct event_base *base;
    uint32_t cid;
    struct links_hooks hooks;
    int count;
    uint32_t next_port;
    LIST_HEAD(bucket, link) table[BUCKETS];
    LIST_HEAD(, link) every;
    TAILQ_HEAD(, link) turns;
    struct vsock_header strays[STRAYS_MAX];
    int stray_first, stray_count;
};

// --- table ---

static struct bucket *bucket(const struct links *ls, uint32_t host_port, uint32_t guest_port)
{
    uint32_t hash = (host_port ^ guest_port * 0x9e3779b1U) * 0x85ebca6bU;
    return (struct bucket *)&ls->table[hash >> 24];
}

static struct link *find(const struct links *ls, uint32_t host_port, uint32_t guest_port)
{
    struct link *l;
    LIST_FOREACH(l, bucket(ls, host_port, guest_port), bucket)
        if (l->host_port == host_port && l->guest_port == guest_port)
            return l;
    return NULL;
}

static void unlist(struct link *l)
{
    if (l->listed)
        LIST_REMOVE(l, bucket);
    l->listed = false;
}

static void close_socket(struct link *l)
{
    if (l->read)
        event_free(TAKE_PTR(l->read));
    if (l->write)
        event_free(TAKE_PTR(l->write));
    if (l->fd >= 0)
        close(TAKE_FD(l->fd));
    evbuffer_drain(l->unwritten, evbuffer_get_length(l->unwritten));
}

static void link_free(struct link *l)
{
    struct links *ls = l->all;
    close_socket(l);
    unlist(l);
    if (l->queued)
        TAILQ_REMOVE(&ls->turns, l, turn);
    LIST_REMOVE(l, every);
    ls->count--;
    event_free(l->timer);
    evbuffer_free(l->unwritten);
    free(l);
}

// --- what there is to say ---

static uint32_t credit(const struct link *l)
{
    uint32_t flying = l->sent - l->guest_read;
    return flying < l->guest_window ? l->guest_window - flying : 0;
}

static bool wants_to_send(const struct link *l)
{
    return l->state == OPEN && l->readable && !l->ended && !(l->guest_no_more & VSOCK_NO_RECEIVE);
}

static void queue(struct link *l)
{
    bool data = wants_to_send(l);
    if (data && credit(l) == 0 && !l->asked) {
        l->say |= ASK;
        l->asked = true;
    }
    if (l->queued || (!l->say && !(data && credit(l) > 0)))
        return;
    l->queued = true;
    TAILQ_INSERT_TAIL(&l->all->turns, l, turn);
    l->all->hooks.pump(l->all->hooks.arg);
}

static void say(struct link *l, unsigned what)
{
    l->say |= what;
    queue(l);
}

// A connection that is over goes once the guest was told and the program has everything.
static void settle(struct link *l)
{
    if (l->state == OVER && !l->say && (l->fd < 0 || evbuffer_get_length(l->unwritten) == 0))
        link_free(l);
}

// The guest's end is no more; `tell` it so. The program still gets what was sent, where `drain`.
static void end(struct link *l, bool tell, bool drain)
{
    l->state = OVER;
    l->say = 0;
    l->readable = false;
    event_del(l->timer);
    if (l->read)
        event_del(l->read);
    if (!drain)
        close_socket(l);
    if (tell)
        say(l, SAY_RST);
    else
        unlist(l);
    settle(l);
}

// The program's end is no more.
static void fail(struct link *l)
{
    close_socket(l);
    if (l->state == OVER)
        settle(l);
    else
        end(l, true, false);
}

// --- the program's socket ---

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct link *l = arg;
    l->readable = true;
    queue(l);
}

static void shut_down(struct link *l, unsigned how)
{
    if ((l->no_more | how) == l->no_more)
        return;
    l->no_more |= how;
    say(l, SAY_SHUTDOWN);
}

// The program reads no more: POLLHUP is there when a unix socket's peer has closed both ways.
static bool has_closed(const struct link *l)
{
    struct pollfd p = {.fd = l->fd};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

static void count_taken(struct link *l, size_t n)
{
    l->taken += (uint32_t)n;
    if (l->state == OPEN && l->taken - l->told >= TELL)
        say(l, SAY_CREDIT);
}

// All is written that the guest sent: what it said at the end comes true.
static void on_all_written(struct link *l)
{
    if (l->guest_no_more & VSOCK_NO_SEND)
        shutdown(l->fd, SHUT_WR);
    settle(l);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct link *l = arg;
    int n = evbuffer_write(l->unwritten, fd);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        fail(l);
        return;
    }
    if (n > 0)
        count_taken(l, (size_t)n);
    if (evbuffer_get_length(l->unwritten) > 0)
        event_add(l->write, NULL);
    else
        on_all_written(l);
}

static void adopt(struct link *l, int fd)
{
    l->fd = fd;
    l->read = event_new(l->all->base, fd, EV_READ, on_readable, l);
    l->write = event_new(l->all->base, fd, EV_WRITE, on_writable, l);
}

static void open_link(struct link *l)
{
    l->state = OPEN;
    event_del(l->timer);
    event_add(l->read, NULL);
}

static void greet(const struct link *l)
{
    char line[32];
    int n = snprintf(line, sizeof line, "OK %u\n", l->host_port);
    if (l->greet && send(l->fd, line, (size_t)n, MSG_NOSIGNAL) < 0)
        return; // gone already, which reading will tell
}

// --- birth ---

static void again(struct link *l, int ms)
{
    event_add(l->timer, &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

static void dial(struct link *l)
{
    int fd = l->all->hooks.dial(l->all->hooks.arg, l->host_port);
    if (fd >= 0) {
        adopt(l, fd);
        open_link(l);
        say(l, SAY_RESPONSE);
    } else if (errno == EAGAIN && clock_ms() < l->deadline) {
        again(l, DIAL_STEP_MS);
    } else {
        end(l, true, false);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct link *l = arg;
    if (l->state == DIALING)
        dial(l);
    else // where the guest was never asked there is nothing to take back
        end(l, !(l->say & SAY_REQUEST), false);
}

static struct link *link_new(struct links *ls, uint32_t host_port, uint32_t guest_port,
                             enum link_state state)
{
    struct link *l = xcalloc(1, sizeof *l);
    *l = (struct link){.all = ls,
                       .host_port = host_port,
                       .guest_port = guest_port,
                       .state = state,
                       .listed = true,
                       .fd = -1,
                       .timer = evtimer_new(ls->base, on_timer, l),
                       .unwritten = evbuffer_new()};
    LIST_INSERT_HEAD(bucket(ls, host_port, guest_port), l, bucket);
    LIST_INSERT_HEAD(&ls->every, l, every);
    ls->count++;
    return l;
}

static uint32_t free_port(struct links *ls, uint32_t guest_port)
{
    do {
        if (++ls->next_port < FIRST_PORT || ls->next_port == UINT32_MAX)
            ls->next_port = FIRST_PORT;
    } while (find(ls, ls->next_port, guest_port));
    return ls->next_port;
}

uint32_t links_connect(struct links *ls, int fd, uint32_t port, bool greet_it)
{
    if (ls->count >= VSOCK_LINKS_MAX) {
        close(fd);
        return 0;
    }
    struct link *l = link_new(ls, free_port(ls, port), port, CALLING);
    l->greet = greet_it;
    adopt(l, fd);
    if (greet_it)
        again(l, CALL_MS);
    say(l, SAY_REQUEST);
    return l->host_port;
}

// --- packets from the guest ---

bool links_busy(const struct links *ls)
{
    return ls->stray_count == STRAYS_MAX;
}

static void refuse(struct links *ls, const struct vsock_header *h)
{
    if (h->op == VSOCK_RST || links_busy(ls))
        return;
    ls->strays[(ls->stray_first + ls->stray_count++) % STRAYS_MAX] =
        (struct vsock_header){.src_cid = h->dst_cid,
                              .dst_cid = h->src_cid,
                              .src_port = h->dst_port,
                              .dst_port = h->src_port,
                              .type = h->type,
                              .op = VSOCK_RST};
    ls->hooks.pump(ls->hooks.arg);
}

static void take_request(struct links *ls, const struct vsock_header *h)
{
    if (ls->count >= VSOCK_LINKS_MAX) {
        refuse(ls, h);
        return;
    }
    struct link *l = link_new(ls, h->dst_port, h->src_port, DIALING);
    l->guest_window = h->buf_alloc;
    l->guest_read = h->fwd_cnt;
    l->deadline = clock_ms() + DIAL_MS;
    dial(l);
}

static void take_response(struct link *l)
{
    if (l->state != CALLING || (l->say & SAY_REQUEST)) {
        end(l, true, false);
        return;
    }
    greet(l);
    open_link(l);
    queue(l);
}

static size_t parts_size(const struct iovec *part, int n)
{
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += part[i].iov_len;
    return size;
}

// Keeps what the program did not take: all but the first `skip` bytes.
static void keep(struct link *l, const struct iovec *part, int n, size_t skip)
{
    for (int i = 0; i < n; i++) {
        size_t gone = skip < part[i].iov_len ? skip : part[i].iov_len;
        evbuffer_add(l->unwritten, (const char *)part[i].iov_base + gone, part[i].iov_len - gone);
        skip -= gone;
    }
}

static void take_data(struct link *l, const struct iovec *part, int n)
{
    size_t size = parts_size(part, n);
    size_t waiting = evbuffer_get_length(l->unwritten);
    if (l->state != OPEN || (l->guest_no_more & VSOCK_NO_SEND) || waiting + size > VSOCK_WINDOW) {
        end(l, true, false); // more than its credit
        return;
    }
    struct msghdr msg = {.msg_iov = (struct iovec *)part, .msg_iovlen = (size_t)n};
    ssize_t sent = waiting == 0 && size > 0 ? sendmsg(l->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        fail(l);
        return;
    }
    keep(l, part, n, sent < 0 ? 0 : (size_t)sent);
    if (evbuffer_get_length(l->unwritten) > 0)
        event_add(l->write, NULL);
    if (sent > 0)
        count_taken(l, (size_t)sent);
}

static void take_shutdown(struct link *l, uint32_t flags)
{
    if (l->state != OPEN) {
        end(l, true, false);
        return;
    }
    l->guest_no_more |= flags & VSOCK_CLOSED;
    bool written = evbuffer_get_length(l->unwritten) == 0;
    if (l->guest_no_more & VSOCK_NO_RECEIVE)
        shutdown(l->fd, SHUT_RD);
    if ((l->guest_no_more & VSOCK_NO_SEND) && written)
        shutdown(l->fd, SHUT_WR);
    if (l->guest_no_more == VSOCK_CLOSED)
        end(l, true, true); // the standard's answer to a close is a reset
}

static void take_for_link(struct link *l, const struct vsock_header *h, const struct iovec *data,
                          int n)
{
    l->guest_window = h->buf_alloc;
    l->guest_read = h->fwd_cnt;
    if (credit(l) > 0)
        l->asked = false;
    switch (h->op) {
    case VSOCK_RESPONSE:
        take_response(l);
        return;
    case VSOCK_RST:
        end(l, false, l->state == OPEN && l->fd >= 0);
        return;
    case VSOCK_SHUTDOWN:
        take_shutdown(l, h->flags);
        return;
    case VSOCK_RW:
        take_data(l, data, n);
        return;
    case VSOCK_CREDIT_REQUEST:
        say(l, l->state == OPEN ? SAY_CREDIT : 0);
        return;
    case VSOCK_CREDIT_UPDATE:
        queue(l);
        return;
    default:
        end(l, true, false);
    }
}

void links_take(struct links *ls, const struct vsock_header *h, const struct iovec *data, int n)
{
    if (h->src_cid != ls->cid)
        return; // nobody to answer
    if (h->dst_cid != VSOCK_HOST_CID || h->type != VSOCK_STREAM) {
        refuse(ls, h);
        return;
    }
    struct link *l = find(ls, h->dst_port, h->src_port);
    if (l && l->state == OVER) // its reset is on the way
        return;
    if (l)
        take_for_link(l, h, data, n);
    else if (h->op == VSOCK_REQUEST)
        take_request(ls, h);
    else
        refuse(ls, h);
}

// --- packets to the guest ---

// Copies into the parts; what is too long is cut.
static void put(const struct iovec *part, int n, const void *data, size_t size)
{
    const char *from = data;
    for (int i = 0; i < n && size > 0; i++) {
        size_t here = size < part[i].iov_len ? size : part[i].iov_len;
        memcpy(part[i].iov_base, from, here);
        from += here;
        size -= here;
    }
}

// The room behind the header, at most `limit` bytes of it.
static int room(const struct iovec *part, int n, size_t limit, struct iovec *out)
{
    size_t skip = sizeof(struct vsock_header);
    int count = 0;
    for (int i = 0; i < n && limit > 0; i++) {
        size_t gone = skip < part[i].iov_len ? skip : part[i].iov_len;
        size_t here = part[i].iov_len - gone;
        here = here < limit ? here : limit;
        skip -= gone;
        limit -= here;
        if (here > 0)
            out[count++] =
                (struct iovec){.iov_base = (char *)part[i].iov_base + gone, .iov_len = here};
    }
    return count;
}

// What the program wrote goes from its socket into the guest's memory; 0 where there is nothing.
static size_t read_program(struct link *l, const struct iovec *part, int n)
{
    struct iovec in[VSOCK_PARTS_MAX];
    uint32_t limit = credit(l) < VSOCK_DATA_MAX ? credit(l) : VSOCK_DATA_MAX;
    int count = wants_to_send(l) && limit > 0 ? room(part, n, limit, in) : 0;
    ssize_t got = count > 0 ? readv(l->fd, in, count) : -1;
    if (got > 0)
        return (size_t)got;
    if (count == 0)
        return 0;
    l->readable = false;
    if (got == 0) {
        l->ended = true;
        shut_down(l, has_closed(l) ? VSOCK_CLOSED : VSOCK_NO_SEND);
    } else if (errno == EAGAIN || errno == EINTR) {
        event_add(l->read, NULL);
    } else {
        fail(l); // the guest is told next
    }
    return 0;
}

// One thing that is to be said; 0: nothing. Data come before the shutdown that follows them.
static uint16_t choose_op(struct link *l)
{
    static const struct {
        unsigned say;
        uint16_t op;
    } ops[] = {
        {SAY_RST, VSOCK_RST},           {SAY_REQUEST, VSOCK_REQUEST},
        {SAY_RESPONSE, VSOCK_RESPONSE}, {SAY_SHUTDOWN, VSOCK_SHUTDOWN},
        {ASK, VSOCK_CREDIT_REQUEST},    {SAY_CREDIT, VSOCK_CREDIT_UPDATE},
    };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (l->say & ops[i].say) {
            l->say &= ~ops[i].say;
            return ops[i].op;
        }
    return 0;
}

static size_t give_one(struct link *l, const struct iovec *part, int n)
{
    struct vsock_header h = {.src_cid = VSOCK_HOST_CID,
                             .dst_cid = l->all->cid,
                             .src_port = l->host_port,
                             .dst_port = l->guest_port,
                             .type = VSOCK_STREAM,
                             .buf_alloc = VSOCK_WINDOW};
    if (!(l->say & (SAY_RST | SAY_REQUEST | SAY_RESPONSE)))
        h.len = (uint32_t)read_program(l, part, n);
    h.op = h.len > 0 ? VSOCK_RW : choose_op(l);
    if (h.op == 0)
        return 0;
    if (h.op == VSOCK_SHUTDOWN)
        h.flags = l->no_more;
    h.fwd_cnt = l->told = l->taken;
    l->sent += h.len;
    l->say &= h.op == VSOCK_RST ? 0U : ~(unsigned)SAY_CREDIT; // every packet tells it
    put(part, n, &h, sizeof h);
    return sizeof h + h.len;
}

static size_t give_stray(struct links *ls, const struct iovec *part, int n)
{
    put(part, n, &ls->strays[ls->stray_first], sizeof *ls->strays);
    ls->stray_first = (ls->stray_first + 1) % STRAYS_MAX;
    ls->stray_count--;
    return sizeof *ls->strays;
}

size_t links_give(struct links *ls, const struct iovec *parts, int n)
{
    if (n > VSOCK_PARTS_MAX || parts_size(parts, n) <= sizeof(struct vsock_header))
        return 0;
    if (ls->stray_count > 0)
        return give_stray(ls, parts, n);
    size_t given = 0;
    while (given == 0 && !TAILQ_EMPTY(&ls->turns)) {
        struct link *l = TAILQ_FIRST(&ls->turns);
        TAILQ_REMOVE(&ls->turns, l, turn);
        l->queued = false;
        given = give_one(l, parts, n);
        if (l->state == OVER && !l->say)
            unlist(l); // the guest may use its port again
        queue(l);
        settle(l);
    }
    return given;
}

// --- the whole ---

struct links *links_new(struct event_base *base, uint32_t guest_cid,
                        const struct links_hooks *hooks)
{
    struct links *ls = xcalloc(1, sizeof *ls);
    *ls = (struct links){.base = base, .cid = guest_cid, .hooks = *hooks, .next_port = FIRST_PORT};
    TAILQ_INIT(&ls->turns);
    return ls;
}

static void forget(struct link *l)
{
    if (l->state == CALLING && (l->say & SAY_REQUEST))
        return; // the guest never heard of it
    end(l, false, l->state == OPEN || l->state == OVER);
}

void links_reset(struct links *ls)
{
    for (struct link *l = LIST_FIRST(&ls->every), *next; l; l = next) {
        next = LIST_NEXT(l, every);
        forget(l);
    }
    ls->stray_count = 0;
}

void links_free(struct links *ls)
{
    if (!ls)
        return;
    while (!LIST_EMPTY(&ls->every))
        link_free(LIST_FIRST(&ls->every));
    free(ls);
}

int links_count(const struct links *ls)
{
    return ls->count;
}

bool links_open(const struct links *ls, uint32_t host_port)
{
    struct link *l;
    LIST_FOREACH(l, &ls->every, every)
        if (l->host_port == host_port)
            return l->state == OPEN;
    return false;
}
