// The core alone, in virtual time: no socket, no clock.
//
//     bench-core KIND SIZE FRAMES
//
// Sends frames through a lab and prints how many a second came out. `switched`: between two plugs
// of one network. `delayed`: the same over links with a delay. `routed`: IPv4 between two networks.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "vnet/vnet.h"

enum { BATCH = 32, PERIOD_NS = 2000, DELAY_NS = 5000000 };

static void output(void *arg, unsigned plug, struct frame *f)
{
    unsigned long long *count = arg;
    if (frame_is_ours(vnet_frame_data(f)) || vnet_frame_data(f)[23] == 17)
        ++*count;
    (void)plug;
}

static struct vnet *make_lab(unsigned long long *count, uint64_t delay, unsigned networks)
{
    struct vnet *v = vnet_new(&vnet_default_limits, 1, &(struct vnet_owner){output, .arg = count});
    const struct vnet_link link = {.delay = delay};
    struct err e;
    static const char *const names[] = {"one", "two"};
    for (unsigned i = 0; i < networks; i++)
        if (vnet_add_network(v,
                             &(struct vnet_network){.name = names[i],
                                                    .router = 0x0a000001 + (i << 16),
                                                    .prefix = 16,
                                                    .mtu = VNET_MTU_MAX,
                                                    .lease_seconds = 60},
                             &e) < 0)
            die(e.msg);
    for (unsigned i = 0; i < 2; i++)
        if (vnet_add_plug(v, &(struct vnet_plug){names[i], i % networks, {link, link}}, &e) < 0)
            die(e.msg);
    return v;
}

static void put(uint8_t *at, uint64_t value, unsigned n)
{
    while (n > 0) {
        at[--n] = (uint8_t)value;
        value >>= 8;
    }
}

// Plug 0's UDP datagram to plug 1's host, by way of the routers.
static void make_ipv4(uint8_t *frame, size_t size)
{
    uint32_t sum = 0;
    put(frame, 0x52eeeeeeee01, 6);
    put(frame + 14, 0x4500, 2);
    put(frame + 16, size - 14, 2);
    put(frame + 22, 0x4011, 2);
    put(frame + 26, 0x0a000002, 4);
    put(frame + 30, 0x0a010002, 4);
    put(frame + 34, 0x1000, 2);
    put(frame + 36, 0x1000, 2);
    put(frame + 38, size - 34, 2);
    for (unsigned i = 14; i < 34; i += 2)
        sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
    put(frame + 24, 0xffff - (sum % 0xffff), 2);
}

// A host tells its router who it is by asking who that is.
static void announce(struct vnet *v, unsigned plug, unsigned network)
{
    static uint8_t arp[FRAME_MAX];
    frame_make(arp, 0, plug);
    memset(arp, 0xff, 6);
    put(arp + 12, 0x0806000108000604, 8);
    put(arp + 20, 1, 2);
    memcpy(arp + 22, arp + 6, 6);
    put(arp + 28, 0x0a000002 + (network << 16), 4);
    put(arp + 38, 0x0a000001 + (network << 16), 4);
    vnet_input(v, 0, plug, arp, 60);
}

int main(int argc, char **argv)
{
    static uint8_t frame[FRAME_MAX];
    if (argc != 4)
        return 2;
    bool routed = strcmp(argv[1], "routed") == 0;
    size_t size = (size_t)atoi(argv[2]);
    unsigned long long frames = strtoull(argv[3], NULL, 10);
    unsigned long long count = 0;
    struct vnet *v = make_lab(&count, strcmp(argv[1], "delayed") == 0 ? DELAY_NS : 0, 1 + routed);
    announce(v, 0, 0);
    announce(v, 1, routed);
    vnet_advance(v, 2 * DELAY_NS);
    frame_make(frame, 1, 0);
    if (routed)
        make_ipv4(frame, size);
    count = 0;
    uint64_t start = now_ns();
    uint64_t at = 2 * DELAY_NS;
    for (unsigned long long i = 0; i < frames; i++) {
        vnet_input(v, at += PERIOD_NS, 0, frame, size);
        if (i % BATCH == BATCH - 1)
            vnet_advance(v, at);
    }
    vnet_advance(v, at + 2 * DELAY_NS);
    double seconds = (double)(now_ns() - start) / 1e9;
    printf("{\"frames\": %llu, \"lost\": %lld, \"per_second\": %.0f}\n", count,
           (long long)frames - (long long)count, (double)count / seconds);
    vnet_free(v);
    return 0;
}
