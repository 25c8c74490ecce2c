// Fuzzes a whole lab with frames: three networks, one of them behind a NAT, and a host of the
// internet. An input is a row of them: the plug (its low two bits; the others are for the time that
// passes before, 0 to 198 s), the length in two bytes, the frame.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vnet/lab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct vnet_limits limits = {
    .networks = 3,
    .plugs = 4,
    .macs_per_plug = 3,
    .leases = 4,
    .neighbours = 3,
    .mappings = 3,
    .small_frames = 8,
    .frames = 8,
    .jumbo_frames = 2,
    .deliveries = 16,
};

// No group sends what comes out.
static void output(void *arg, unsigned plug, struct frame *f)
{
    size_t n = vnet_frame_size(f);
    if (plug >= limits.plugs || n < 14 || n > VNET_FRAME_MAX || (vnet_frame_data(f)[6] & 1))
        abort();
}

static struct vnet *make(void)
{
    const struct vnet_network networks[] = {
        {.name = "home",
         .router = 0xc0a80001,
         .prefix = 24,
         .router6 = {{0x20, 0, 0, 0x52, [15] = 1}},
         .prefix6 = 64,
         .mtu = 1500,
         .lease_seconds = 3600,
         .domain = "lab.test"},
        {.name = "tiny", .router = 0x0a020001, .prefix = 29, .mtu = 576, .lease_seconds = 1},
        {.name = "nat",
         .router = 0xc0a80501,
         .prefix = 24,
         .wan = 0x02010101,
         .nat = VNET_NAT_EASY,
         .router6 = {{0x20, 0, 0, 0x53, [15] = 1}},
         .prefix6 = 64,
         .mtu = 1280,
         .lease_seconds = 60},
    };
    static const unsigned network_of[] = {0, 0, 1, 2};
    const struct ip6 host = {{0x20, 0x52, [15] = 1}};
    struct err e;
    struct vnet *v = vnet_new(&limits, 1, &(struct vnet_owner){.output = output});
    for (unsigned i = 0; i < limits.networks; i++)
        if (vnet_add_network(v, &networks[i], &e) != (int)i)
            abort();
    for (unsigned i = 0; i < 4; i++)
        if (vnet_add_plug(v, &(struct vnet_plug){"plug", network_of[i]}, &e) != (int)i)
            abort();
    if (vnet_add_host(v, 0x05000001, &host, &e) < 0)
        abort();
    return v;
}

// When nothing is under way every buffer is free.
static void check_buffers(const struct vnet *v)
{
    size_t n = 0;
    for (unsigned c = 0; c < POOL_CLASSES; c++)
        for (const struct frame *f = v->pool.free[c]; f; f = f->next_free)
            n++;
    if (n != limits.small_frames + limits.frames + limits.jumbo_frames)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t now = 0;
    struct vnet *v = make();
    while (size >= 3) {
        unsigned from = data[0] & 3;
        now += (uint64_t)(data[0] >> 2) * (data[0] >> 2) * 50000000;
        size_t n = (size_t)data[1] << 8 | data[2];
        if (n > size - 3)
            n = size - 3;
        uint8_t *exact = malloc(n ? n : 1); // a read beyond it shows
        memcpy(exact, data + 3, n);
        vnet_advance(v, now);
        vnet_input(v, now, from, exact, n);
        free(exact);
        vnet_advance(v, now);
        data += 3 + n;
        size -= 3 + n;
    }
    vnet_advance(v, now + 1000000000000u);
    check_buffers(v);
    vnet_free(v);
    return 0;
}
