// A guest and its engine in a test: memory, two rings and a front end of vhost-user, all in the
// test's own thread. What it does wrong it does on purpose.
#pragma once

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/os.h"
#include "host/vsock-packet.h"
#include "proto/unix.h"

enum { RX, TX };
enum {
    MEMORY = 4 << 20,
    RING_BUFFERS = 16,
    RING_SPACE = 0x4000, // of each ring, which begins with its descriptors
    AVAIL = 0x1000,
    USED = 0x2000,
    BUFFERS = 0x10000,
    BUFFER = 0x10000, // of each buffer; TX's follow RX's
    GUEST_AT = 0x40000000,
};
#define USER_AT 0x7f0000000000ULL

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

struct fake_guest {
    struct event_base *base;
    int engine; // the front end's socket
    int memory_fd;
    uint8_t *memory;
    int kick[2], call[2];
    uint16_t avail[2], used[2];
};

struct packet {
    struct vsock_header h;
    char data[BUFFER];
};

static inline void fake_run(struct fake_guest *g)
{
    for (int i = 0; i < 8; i++)
        event_base_loop(g->base, EVLOOP_NONBLOCK);
}

static inline void fake_message_size(struct fake_guest *g, uint32_t request, const void *payload,
                                     uint32_t size, int fd)
{
    char bytes[12 + 4096];
    uint32_t header[3] = {request, 1, size};
    memcpy(bytes, header, sizeof header);
    memcpy(bytes + 12, payload, size);
    unix_send(g->engine, bytes, 12 + size, &fd, fd >= 0);
    fake_run(g);
}
#define fake_message(g, request, payload, fd)                                                      \
    fake_message_size(g, request, &(payload), sizeof(payload), fd)

// The answer's payload; -1 where there is none.
static inline int fake_answer(struct fake_guest *g, uint32_t request, void *payload, size_t size)
{
    char bytes[12 + 4096];
    uint32_t header[3];
    ssize_t n = recv(g->engine, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 12)
        return -1;
    memcpy(header, bytes, sizeof header);
    if (header[0] != request || header[2] != n - 12 || header[2] > size)
        return -1;
    memcpy(payload, bytes + 12, header[2]);
    return (int)header[2];
}

static inline bool fake_hung_up(const struct fake_guest *g)
{
    char byte;
    ssize_t n = recv(g->engine, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET); // it need not have read all
}

static inline struct desc *fake_desc(const struct fake_guest *g, int ring)
{
    return (struct desc *)(void *)(g->memory + ring * RING_SPACE);
}

static inline uint16_t *fake_avail(const struct fake_guest *g, int ring)
{
    return (uint16_t *)(void *)(g->memory + ring * RING_SPACE + AVAIL);
}

static inline uint16_t *fake_used(const struct fake_guest *g, int ring)
{
    return (uint16_t *)(void *)(g->memory + ring * RING_SPACE + USED);
}

static inline uint64_t fake_offset(int ring, int buffer)
{
    return BUFFERS + (uint64_t)(ring * RING_BUFFERS + buffer) * BUFFER;
}

static inline uint8_t *fake_buffer(const struct fake_guest *g, int ring, int buffer)
{
    return g->memory + fake_offset(ring, buffer);
}

static inline void fake_set_memory(struct fake_guest *g, uint64_t size)
{
    struct {
        uint32_t count, padding;
        uint64_t guest, size, user, offset;
    } table = {1, 0, GUEST_AT, size, USER_AT, 0};
    fake_message(g, 5, table, g->memory_fd);
}

static inline void fake_set_ring(struct fake_guest *g, int ring, uint32_t size, uint64_t user)
{
    struct {
        uint32_t index, value;
    } state = {(uint32_t)ring, size};
    struct {
        uint32_t index, flags;
        uint64_t desc, used, avail, log;
    } address = {(uint32_t)ring, 0, user, user + USED, user + AVAIL, 0};
    uint64_t index = (uint64_t)ring;
    fake_message(g, 8, state, -1);
    state.value = g->avail[ring];
    fake_message(g, 10, state, -1);
    fake_message(g, 9, address, -1);
    fake_message(g, 13, index, g->call[ring]);
    fake_message(g, 12, index, g->kick[ring]);
    state.value = 1;
    fake_message(g, 18, state, -1);
}

static inline void fake_start_ring(struct fake_guest *g, int ring)
{
    fake_set_ring(g, ring, RING_BUFFERS, USER_AT + (uint64_t)ring * RING_SPACE);
}

static inline void fake_kick(struct fake_guest *g, int ring)
{
    const uint64_t one = 1;
    if (write(g->kick[ring], &one, sizeof one) < 0)
        abort();
    fake_run(g);
}

// Hands over a buffer: a descriptor for the header, one for `size` of data, if any.
static inline void fake_offer(struct fake_guest *g, int ring, size_t size)
{
    uint16_t *avail = fake_avail(g, ring);
    uint16_t i = g->avail[ring] % (RING_BUFFERS / 2);
    uint64_t at = GUEST_AT + fake_offset(ring, i);
    uint16_t write_flag = ring == RX ? 2 : 0;
    fake_desc(g, ring)[2 * i] =
        (struct desc){at, sizeof(struct vsock_header), (uint16_t)(write_flag | (size > 0)),
                      (uint16_t)(2 * i + 1)};
    fake_desc(g, ring)[2 * i + 1] =
        (struct desc){at + sizeof(struct vsock_header), (uint32_t)size, write_flag, 0};
    avail[2 + g->avail[ring] % RING_BUFFERS] = 2 * i;
    avail[1] = ++g->avail[ring];
}

static inline void fake_offer_rx(struct fake_guest *g)
{
    while ((uint16_t)(g->avail[RX] - g->used[RX]) < RING_BUFFERS / 2)
        fake_offer(g, RX, 4096);
    fake_kick(g, RX);
}

// A driver that has just loaded.
static inline void fake_start(struct fake_guest *g)
{
    uint64_t features = 1ULL << 32 | 1ULL << 30;
    memset(g->memory, 0, 2 * RING_SPACE);
    for (int i = RX; i <= TX; i++)
        g->avail[i] = g->used[i] = 0;
    fake_message(g, 2, features, -1);
    fake_set_memory(g, MEMORY);
    fake_start_ring(g, RX);
    fake_start_ring(g, TX);
    fake_offer_rx(g);
}

static inline void fake_stop(struct fake_guest *g)
{
    for (uint32_t i = RX; i <= TX; i++) {
        struct {
            uint32_t index, value;
        } state = {i, 0};
        fake_message(g, 11, state, -1);
        fake_answer(g, 11, &state, sizeof state);
    }
}

static inline void fake_open(struct fake_guest *g, struct event_base *base, int engine)
{
    *g = (struct fake_guest){.base = base, .engine = engine};
    g->memory_fd = os_memory_file("fake-guest", MEMORY);
    g->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, g->memory_fd, 0);
    if (g->memory == MAP_FAILED)
        abort();
    for (int i = RX; i <= TX; i++) {
        g->kick[i] = eventfd(0, EFD_NONBLOCK);
        g->call[i] = eventfd(0, EFD_NONBLOCK);
    }
}

static inline void fake_close(struct fake_guest *g)
{
    munmap(g->memory, MEMORY);
    close(g->memory_fd);
    close(g->engine);
    for (int i = RX; i <= TX; i++) {
        close(g->kick[i]);
        close(g->call[i]);
    }
}

// Sends a packet. What is not set of the header is as it should be.
static inline void fake_send_data(struct fake_guest *g, struct vsock_header h, const void *data,
                                  size_t size)
{
    uint8_t *to = fake_buffer(g, TX, g->avail[TX] % (RING_BUFFERS / 2));
    h.src_cid = h.src_cid ? h.src_cid : 3;
    h.dst_cid = h.dst_cid ? h.dst_cid : VSOCK_HOST_CID;
    h.type = h.type ? h.type : VSOCK_STREAM;
    h.len = h.len ? h.len : (uint32_t)size;
    memcpy(to, &h, sizeof h);
    if (size > 0)
        memcpy(to + sizeof h, data, size);
    fake_offer(g, TX, size);
    fake_kick(g, TX);
}

static inline void fake_send(struct fake_guest *g, struct vsock_header h)
{
    fake_send_data(g, h, NULL, 0);
}

// The next packet to the guest, whose buffer is offered anew; false where there is none.
static inline bool fake_receive(struct fake_guest *g, struct packet *out)
{
    fake_run(g);
    const uint16_t *used = fake_used(g, RX);
    if (used[1] == g->used[RX])
        return false;
    uint32_t entry[2];
    memcpy(entry, used + 2 + (size_t)4 * (g->used[RX]++ % RING_BUFFERS), sizeof entry);
    memcpy(out, fake_buffer(g, RX, (int)entry[0] / 2), entry[1] < sizeof *out ? entry[1] : 0);
    fake_offer_rx(g);
    return true;
}
