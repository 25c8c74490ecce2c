// Fuzzes the vsock device as a guest may: rings and packets are the input's. A step is a byte that
// says what comes, and what it needs:
//   0 offset(2) length(1) bytes   written into guest memory (first 64 KiB: rings, descriptors)
//   1 header's last 28 bytes, length(1) bytes   a packet with such a header, well put
//   2 offset(2) length(1) bytes   a message of vhost-user: request, bytes of its payload
//   3 kicks   4 the driver starts anew   5 buffers for the guest   6 a program connects and talks
//   7 the engine is another one
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "host/vsock.h"
#include "place.h"
#include "vsock-guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PROGRAMS = 8, LISTENED = 80, STEPS_MAX = 400 };

struct input {
    const uint8_t *data;
    size_t size;
};

struct world {
    struct event_base *base;
    struct vsock *vsock;
    struct fake_guest g;
    char dir[PLACE_PATH];
    char *path, *served;
    int listener;
    int program[PROGRAMS];
};

static size_t take(struct input *in, void *out, size_t n)
{
    n = n < in->size ? n : in->size;
    memcpy(out, in->data, n);
    in->data += n;
    in->size -= n;
    return n;
}

static uint8_t take_byte(struct input *in)
{
    uint8_t byte = 0;
    take(in, &byte, 1);
    return byte;
}

static size_t take_bytes(struct input *in, uint8_t *out)
{
    return take(in, out, take_byte(in));
}

static void write_memory(struct world *w, struct input *in)
{
    uint16_t at = 0;
    take(in, &at, sizeof at);
    take_bytes(in, w->g.memory + at);
}

static void send_packet(struct world *w, struct input *in)
{
    struct vsock_header h = {.src_cid = 3, .dst_cid = VSOCK_HOST_CID};
    uint8_t data[256];
    take(in, (uint8_t *)&h + 16, sizeof h - 16); // all but the CIDs
    size_t n = take_bytes(in, data);
    fake_send_data(&w->g, h, data, n);
}

static void send_message(struct world *w, struct input *in)
{
    uint8_t payload[256] = {0};
    uint8_t request = take_byte(in);
    uint32_t n = (uint32_t)take_bytes(in, payload);
    fake_message_size(&w->g, request, payload, n, request % 2 ? w->g.memory_fd : w->g.call[RX]);
}

// Accepts who waits, reads and writes a little, and lets go of the oldest.
static void be_programs(struct world *w, uint8_t what)
{
    struct err e;
    char text[256];
    int *slot = &w->program[what % PROGRAMS];
    if (*slot >= 0) {
        if (what & 0x10)
            send(*slot, text, (size_t)snprintf(text, sizeof text, "%d hello", what),
                 MSG_DONTWAIT | MSG_NOSIGNAL);
        if (what & 0x20)
            recv(*slot, text, sizeof text, MSG_DONTWAIT);
        if (what & 0x40)
            shutdown(*slot, SHUT_WR);
        if (what & 0x80)
            close(TAKE_FD(*slot));
    } else if (what & 0x80) {
        *slot = unix_connect(w->path, NULL, &e);
        send(*slot, "CONNECT 70\ntext", 15, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
        *slot = accept(w->listener, NULL, NULL);
    }
    fake_run(&w->g);
}

static void be_another_engine(struct world *w)
{
    struct err e;
    close(w->g.engine);
    w->g.engine = vsock_renew(w->vsock, &e);
    fake_start(&w->g);
}

static void step(struct world *w, struct input *in)
{
    switch (take_byte(in) % 8) {
    case 0:
        write_memory(w, in);
        break;
    case 1:
        send_packet(w, in);
        break;
    case 2:
        send_message(w, in);
        break;
    case 3:
        fake_kick(&w->g, RX);
        fake_kick(&w->g, TX);
        break;
    case 4:
        fake_stop(&w->g);
        fake_start(&w->g);
        break;
    case 5:
        w->g.used[RX] = fake_used(&w->g, RX)[1];
        fake_offer_rx(&w->g);
        break;
    case 6:
        be_programs(w, take_byte(in));
        break;
    default:
        be_another_engine(w);
    }
}

static void open_world(struct world *w)
{
    struct err e;
    signal(SIGPIPE, SIG_IGN);
    place_make(w->dir);
    w->base = event_base_new();
    w->path = xasprintf("%s/a", w->dir);
    w->served = xasprintf("%s_%d", w->path, LISTENED);
    w->listener = unix_listen(w->served, &e);
    struct vsock_options options = {
        .path = w->path, .cid = VSOCK_USUAL_CID, .port = 9, .address = "wait\n"};
    w->vsock = vsock_new(w->base, &options, &e);
    fake_open(&w->g, w->base, vsock_renew(w->vsock, &e));
    for (int i = 0; i < PROGRAMS; i++)
        w->program[i] = -1;
    fake_start(&w->g);
}

static void close_world(struct world *w)
{
    for (int i = 0; i < PROGRAMS; i++)
        if (w->program[i] >= 0)
            close(w->program[i]);
    vsock_free(w->vsock);
    fake_close(&w->g);
    close(w->listener);
    unlink(w->served);
    rmdir(w->dir);
    event_base_free(w->base);
    free(w->path);
    free(w->served);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {0};
    struct input in = {data, size};
    open_world(&w);
    for (int i = 0; i < STEPS_MAX && in.size > 0; i++)
        step(&w, &in);
    json_decref(vsock_status(w.vsock));
    close_world(&w);
    return 0;
}
