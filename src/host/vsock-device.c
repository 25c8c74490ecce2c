// vhost-user messages, and what moves packets.
#include "host/vsock-device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/vsock-ring.h"

enum { TO_GUEST, FROM_GUEST, RINGS };

enum {
    TURN = 64, // packets each way before others have theirs
    PAYLOAD_MAX = 512,
    MESSAGE_VERSION = 1,
    MESSAGE_REPLY = 4,
    VRING_INDEX = 0xff,
    VRING_NO_FILE = 0x100,
};

// Virtio 1, and messages of vhost-user's own protocol features: of those, GET_CONFIG.
#define F_VERSION_1 (1ULL << 32)
#define F_PROTOCOL (1ULL << 30)
#define PROTOCOL_CONFIG (1ULL << 9)

struct message {
    uint32_t request, flags, size;
    union {
        uint8_t bytes[PAYLOAD_MAX];
        uint64_t number;
        struct {
            uint32_t index, value;
        } state;
        struct {
            uint32_t index, flags;
            uint64_t desc, used, avail, log;
        } address;
        struct {
            uint32_t count, padding;
            struct guest_region region[GUEST_REGIONS_MAX];
        } memory;
        struct {
            uint32_t offset, size, flags;
            uint8_t data[64];
        } config;
    };
};
enum { HEADER = offsetof(struct message, bytes) };
// The payload is aligned to 8, on the wire it follows at 12.
enum { WIRE_HEADER = 12 };

struct vsock_device {
    struct event_base *base;
    struct links *links;
    uint32_t cid;
    int fd; // to the engine; -1: none
    struct event *engine;
    struct event *pump; // activated by hand
    struct message in;
    size_t have; // bytes of it
    struct fds files;
    uint64_t features;
    struct guest_memory memory;
    struct {
        struct ring ring;
        int kick_fd;
        struct event *kick;
    } ring[RINGS];
};

// --- packets ---

// The header is copied, so that it stays what was checked; false: this is no packet.
static bool take_header(const struct ring_buffer *b, struct vsock_header *h, struct iovec *data,
                        int *count)
{
    char *to = (char *)h;
    size_t want = sizeof *h;
    *count = 0;
    for (int i = 0; i < b->count; i++) {
        size_t n = want < b->part[i].iov_len ? want : b->part[i].iov_len;
        memcpy(to, b->part[i].iov_base, n);
        to += n;
        want -= n;
        if (want == 0 && n < b->part[i].iov_len)
            data[(*count)++] = (struct iovec){.iov_base = (char *)b->part[i].iov_base + n,
                                              .iov_len = b->part[i].iov_len - n};
    }
    return want == 0 && h->len <= VSOCK_DATA_MAX && h->len <= b->size - sizeof *h;
}

static int cut(struct iovec *data, int count, size_t size)
{
    int n = 0;
    for (; n < count && size > 0; n++) {
        if (data[n].iov_len > size)
            data[n].iov_len = size;
        size -= data[n].iov_len;
    }
    return n;
}

static void take_packet(struct vsock_device *d, const struct ring_buffer *b)
{
    struct vsock_header h;
    struct iovec data[RING_PARTS_MAX];
    int count;
    if (take_header(b, &h, data, &count))
        links_take(d->links, &h, data, cut(data, count, h.len));
}

static void note_broken(struct ring *r, const char *which)
{
    if (!r->broken || !r->started)
        return;
    log_line(
        "vsock: the guest's %s ring makes no sense; it is left alone until the guest starts it "
        "anew",
        which);
    ring_stop(r);
}

// True when there may be more.
static bool take_packets(struct vsock_device *d)
{
    struct ring *r = &d->ring[FROM_GUEST].ring;
    struct ring_buffer b;
    int n = 0;
    while (n < TURN && !links_busy(d->links) && ring_take(r, &d->memory, false, &b)) {
        take_packet(d, &b);
        ring_give(r, &b, 0);
        n++;
    }
    ring_call(r);
    note_broken(r, "transmit");
    return n == TURN;
}

// The guest tells of new buffers only where there were none.
static bool take_buffer(struct vsock_device *d, struct ring_buffer *b)
{
    struct ring *r = &d->ring[TO_GUEST].ring;
    if (ring_take(r, &d->memory, true, b))
        return true;
    ring_want_kicks(r, true);
    if (!ring_take(r, &d->memory, true, b))
        return false;
    ring_want_kicks(r, false);
    return true;
}

static bool give_packet(struct vsock_device *d)
{
    struct ring *r = &d->ring[TO_GUEST].ring;
    struct ring_buffer b;
    if (!take_buffer(d, &b))
        return false;
    size_t n = links_give(d->links, b.part, b.count);
    if (n == 0)
        ring_untake(r);
    else
        ring_give(r, &b, n);
    return n > 0;
}

static bool give_packets(struct vsock_device *d)
{
    struct ring *r = &d->ring[TO_GUEST].ring;
    int n = 0;
    while (n < TURN && give_packet(d))
        n++;
    ring_call(r);
    note_broken(r, "receive");
    return n == TURN;
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct vsock_device *d = arg;
    bool more = give_packets(d); // first: it makes room for answers
    more |= take_packets(d);
    bool busy = links_busy(d->links);
    more |= give_packets(d);
    if (more || (busy && !links_busy(d->links)))
        event_active(d->pump, EV_TIMEOUT, 1);
}

void vsock_device_pump(struct vsock_device *d)
{
    event_active(d->pump, EV_TIMEOUT, 1);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
        return;
    vsock_device_pump(arg);
}

// --- rings ---

static void drop_kick(struct vsock_device *d, int i)
{
    if (d->ring[i].kick)
        event_free(TAKE_PTR(d->ring[i].kick));
    if (d->ring[i].kick_fd >= 0)
        close(TAKE_FD(d->ring[i].kick_fd));
}

static void drop_call(struct ring *r)
{
    if (r->call_fd >= 0)
        close(TAKE_FD(r->call_fd));
}

// A ring runs from its kick on; it is looked for anew whenever memory has moved.
static void start_ring(struct vsock_device *d, int i)
{
    struct err e;
    if (!d->ring[i].kick || d->memory.count == 0)
        return;
    if (!ring_start(&d->ring[i].ring, &d->memory, &e)) {
        log_line("vsock: %s", e.msg);
        return;
    }
    ring_want_kicks(&d->ring[i].ring, i == FROM_GUEST);
    vsock_device_pump(d);
}

static void stop_ring(struct vsock_device *d, int i)
{
    ring_stop(&d->ring[i].ring);
    drop_kick(d, i);
}

static void let_go(struct vsock_device *d)
{
    for (int i = 0; i < RINGS; i++) {
        stop_ring(d, i);
        drop_call(&d->ring[i].ring);
        d->ring[i].ring = (struct ring){.call_fd = -1};
    }
    guest_memory_unmap(&d->memory);
    fds_close(&d->files);
    if (d->engine)
        event_free(TAKE_PTR(d->engine));
    if (d->fd >= 0)
        close(TAKE_FD(d->fd));
    d->have = 0;
    links_reset(d->links);
}

// --- messages ---

static bool reply(struct vsock_device *d, struct message *m, uint32_t size)
{
    uint8_t bytes[WIRE_HEADER + PAYLOAD_MAX];
    m->flags = MESSAGE_VERSION | MESSAGE_REPLY;
    m->size = size;
    memcpy(bytes, m, WIRE_HEADER);
    memcpy(bytes + WIRE_HEADER, m->bytes, size);
    ssize_t sent = send(d->fd, bytes, WIRE_HEADER + size, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent == (ssize_t)WIRE_HEADER + (ssize_t)size;
}

static bool reply_number(struct vsock_device *d, struct message *m, uint64_t number)
{
    m->number = number;
    return reply(d, m, sizeof number);
}

static bool get_features(struct vsock_device *d, struct message *m)
{
    return reply_number(d, m, F_VERSION_1 | F_PROTOCOL);
}

static bool set_features(struct vsock_device *d, struct message *m)
{
    d->features = m->number;
    return true;
}

static bool get_protocol_features(struct vsock_device *d, struct message *m)
{
    return reply_number(d, m, PROTOCOL_CONFIG);
}

static bool nothing(struct vsock_device *d, struct message *m)
{
    (void)d;
    (void)m;
    return true;
}

static bool set_memory(struct vsock_device *d, struct message *m)
{
    struct err e;
    size_t size = offsetof(struct message, memory.region) - offsetof(struct message, bytes);
    if (m->memory.count > GUEST_REGIONS_MAX ||
        m->size < size + m->memory.count * sizeof *m->memory.region)
        return false;
    for (int i = 0; i < RINGS; i++)
        ring_stop(&d->ring[i].ring);
    if (guest_memory_map(&d->memory, m->memory.region, (int)m->memory.count, &d->files, &e) < 0) {
        log_line("vsock: %s", e.msg);
        return false;
    }
    for (int i = 0; i < RINGS; i++)
        start_ring(d, i);
    return true;
}

static bool set_size(struct vsock_device *d, struct message *m)
{
    if (m->state.index >= RINGS || m->state.value > RING_SIZE_MAX)
        return false;
    d->ring[m->state.index].ring.size = (uint16_t)m->state.value;
    return true;
}

static bool set_addresses(struct vsock_device *d, struct message *m)
{
    if (m->address.index >= RINGS)
        return false;
    struct ring *r = &d->ring[m->address.index].ring;
    r->desc_user = m->address.desc;
    r->avail_user = m->address.avail;
    r->used_user = m->address.used;
    if (r->started)
        start_ring(d, (int)m->address.index);
    return true;
}

// Both rings from their beginning: a driver that has just started, and knows no connection. (A
// guest that was paused goes on where it was.)
static bool set_base(struct vsock_device *d, struct message *m)
{
    if (m->state.index >= RINGS || m->state.value > UINT16_MAX)
        return false;
    d->ring[m->state.index].ring.next = (uint16_t)m->state.value;
    if (d->ring[TO_GUEST].ring.next == 0 && d->ring[FROM_GUEST].ring.next == 0)
        links_reset(d->links);
    return true;
}

static bool get_base(struct vsock_device *d, struct message *m)
{
    if (m->state.index >= RINGS)
        return false;
    stop_ring(d, (int)m->state.index);
    m->state.value = d->ring[m->state.index].ring.next;
    return reply(d, m, sizeof m->state);
}

// The descriptor of a KICK or CALL; false where there should be one and is none.
static bool take_file(struct vsock_device *d, const struct message *m, int *fd)
{
    *fd = -1;
    if ((m->number & VRING_INDEX) >= RINGS)
        return false;
    if (!(m->number & VRING_NO_FILE))
        *fd = fds_take(&d->files);
    return (m->number & VRING_NO_FILE) || *fd >= 0;
}

static bool set_kick(struct vsock_device *d, struct message *m)
{
    int fd;
    if (!take_file(d, m, &fd) || fd < 0)
        return false;
    int i = (int)(m->number & VRING_INDEX);
    drop_kick(d, i);
    evutil_make_socket_nonblocking(fd);
    d->ring[i].kick_fd = fd;
    d->ring[i].kick = event_new(d->base, fd, EV_READ | EV_PERSIST, on_kick, d);
    event_add(d->ring[i].kick, NULL);
    if (!(d->features & F_PROTOCOL))
        d->ring[i].ring.enabled = true;
    start_ring(d, i);
    return true;
}

static bool set_call(struct vsock_device *d, struct message *m)
{
    int fd;
    if (!take_file(d, m, &fd))
        return false;
    struct ring *r = &d->ring[m->number & VRING_INDEX].ring;
    drop_call(r);
    r->call_fd = fd;
    r->given = true; // what the old one was to tell, the new one does
    ring_call(r);
    return true;
}

static bool set_error_file(struct vsock_device *d, struct message *m)
{
    int fd;
    if (!take_file(d, m, &fd))
        return false;
    if (fd >= 0)
        close(fd);
    return true;
}

static bool enable(struct vsock_device *d, struct message *m)
{
    if (m->state.index >= RINGS)
        return false;
    d->ring[m->state.index].ring.enabled = m->state.value;
    vsock_device_pump(d);
    return true;
}

static bool get_config(struct vsock_device *d, struct message *m)
{
    const uint64_t cid = d->cid;
    uint64_t end = (uint64_t)m->config.offset + m->config.size;
    uint32_t header = offsetof(struct message, config.data) - offsetof(struct message, bytes);
    if (m->size < header || end > sizeof cid)
        return reply(d, m, 0); // as the protocol says no
    memcpy(m->config.data, (const char *)&cid + m->config.offset, m->config.size);
    return reply(d, m, header + m->config.size);
}

static const struct {
    uint32_t request, size; // of the payload, at least
    bool (*handle)(struct vsock_device *d, struct message *m);
} messages[] = {
    {1, 0, get_features}, {2, 8, set_features},    {3, 0, nothing},
    {4, 0, nothing}, // SET_OWNER, RESET_OWNER
    {5, 8, set_memory},   {8, 8, set_size},        {9, 40, set_addresses},
    {10, 8, set_base},    {11, 8, get_base},       {12, 8, set_kick},
    {13, 8, set_call},    {14, 8, set_error_file}, {15, 0, get_protocol_features},
    {16, 8, nothing}, // SET_PROTOCOL_FEATURES: there is nothing to choose
    {18, 8, enable},      {24, 12, get_config},
};

static bool handle(struct vsock_device *d)
{
    struct message *m = &d->in;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        if (messages[i].request == m->request)
            return m->size >= messages[i].size && messages[i].handle(d, m);
    log_line("vsock: the engine asks for %u, which is not known", m->request);
    return false;
}

// Header, then as much payload as it says, never a byte of the next message: descriptors come with
// the first byte of theirs. False when the connection is of no more use.
static bool receive(struct vsock_device *d)
{
    struct message *m = &d->in;
    bool in_header = d->have < WIRE_HEADER;
    uint8_t *to = in_header ? (uint8_t *)m + d->have : m->bytes + (d->have - WIRE_HEADER);
    size_t want = in_header ? WIRE_HEADER - d->have : WIRE_HEADER + m->size - d->have;
    ssize_t n = fds_receive(d->fd, to, want, &d->files);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    d->have += (size_t)n;
    if (n == 0 || (d->have >= WIRE_HEADER && m->size > PAYLOAD_MAX))
        return false;
    if (d->have < WIRE_HEADER || d->have < WIRE_HEADER + m->size)
        return true;
    d->have = 0;
    bool good = handle(d);
    fds_close(&d->files);
    return good;
}

static void on_engine(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct vsock_device *d = arg;
    if (!receive(d))
        let_go(d);
}

// --- the whole ---

struct vsock_device *vsock_device_new(struct event_base *base, struct links *links, uint32_t cid)
{
    struct vsock_device *d = xcalloc(1, sizeof *d);
    *d = (struct vsock_device){.base = base, .links = links, .cid = cid, .fd = -1};
    d->pump = event_new(base, -1, 0, on_pump, d);
    for (int i = 0; i < RINGS; i++) {
        d->ring[i].kick_fd = -1;
        d->ring[i].ring.call_fd = -1;
    }
    return d;
}

void vsock_device_plug(struct vsock_device *d, int fd)
{
    let_go(d);
    d->features = 0;
    d->fd = fd;
    d->engine = event_new(d->base, fd, EV_READ | EV_PERSIST, on_engine, d);
    event_add(d->engine, NULL);
}

void vsock_device_free(struct vsock_device *d)
{
    if (!d)
        return;
    let_go(d);
    event_free(d->pump);
    free(d);
}
