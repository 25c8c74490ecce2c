// The packets of connections: what the guest's mean, and which the guest gets next.
#include <string.h>

#include "host/vsock-link.h"

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

void link_queue(struct link *l)
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

void link_say(struct link *l, unsigned what)
{
    l->say |= what;
    link_queue(l);
}

// --- packets from the guest ---

bool links_busy(const struct links *ls)
{
    return ls->stray_count == VSOCK_STRAYS_MAX;
}

static void refuse(struct links *ls, const struct vsock_header *h)
{
    if (h->op == VSOCK_RST || links_busy(ls))
        return;
    ls->strays[(ls->stray_first + ls->stray_count++) % VSOCK_STRAYS_MAX] =
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
    link_dial(l);
}

static void take_response(struct link *l)
{
    if (l->state != CALLING || (l->say & SAY_REQUEST)) {
        link_end(l, true, false);
        return;
    }
    link_greet(l);
    link_start(l);
    link_queue(l);
}

static size_t parts_size(const struct iovec *part, int n)
{
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += part[i].iov_len;
    return size;
}

static void take_data(struct link *l, const struct iovec *part, int n)
{
    size_t size = parts_size(part, n);
    if (l->state != OPEN || (l->guest_no_more & VSOCK_NO_SEND) ||
        link_unwritten(l) + size > VSOCK_WINDOW)
        link_end(l, true, false); // more than its credit
    else if (size > 0)
        link_write(l, part, n);
}

static void take_shutdown(struct link *l, uint32_t flags)
{
    if (l->state != OPEN) {
        link_end(l, true, false);
        return;
    }
    l->guest_no_more |= flags & VSOCK_CLOSED;
    link_shut(l);
    if (l->guest_no_more == VSOCK_CLOSED)
        link_end(l, true, true); // the standard's answer to a close is a reset
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
        link_end(l, false, l->state == OPEN && l->fd >= 0);
        return;
    case VSOCK_SHUTDOWN:
        take_shutdown(l, h->flags);
        return;
    case VSOCK_RW:
        take_data(l, data, n);
        return;
    case VSOCK_CREDIT_REQUEST:
        link_say(l, l->state == OPEN ? SAY_CREDIT : 0);
        return;
    case VSOCK_CREDIT_UPDATE:
        link_queue(l);
        return;
    default:
        link_end(l, true, false);
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
    struct link *l = links_find(ls, h->dst_port, h->src_port);
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

// Of what the program wrote, as much as the guest has room for.
static size_t give_data(struct link *l, const struct iovec *part, int n)
{
    struct iovec to[VSOCK_PARTS_MAX];
    uint32_t limit = credit(l) < VSOCK_DATA_MAX ? credit(l) : VSOCK_DATA_MAX;
    int count = wants_to_send(l) ? room(part, n, limit, to) : 0;
    return count > 0 ? link_read(l, to, count) : 0;
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
        h.len = (uint32_t)give_data(l, part, n);
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
    ls->stray_first = (ls->stray_first + 1) % VSOCK_STRAYS_MAX;
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
            link_unlist(l); // the guest may use its port again
        link_queue(l);
        link_settle(l);
    }
    return given;
}
