// Fuzzes a whole lab of two networks with frames. An input is a row of them: the plug (its low two
// bits; the others are seconds that pass before), the length in two bytes, the frame.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vnet/vnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct vnet_limits limits = {
    .networks = 2,
    .plugs = 4,
    .macs_per_plug = 3,
    .leases = 4,
    .small_frames = 4,
    .frames = 4,
    .jumbo_frames = 2,
    .deliveries = 8,
};

// Whatever comes out stays in the network of the plug that the last frame came from, and no group
// sends it.
static void output(void *arg, unsigned plug, const uint8_t *frame, size_t n)
{
    const unsigned *from = arg;
    if (n < 14 || n > VNET_FRAME_MAX || plug / 2 != *from / 2 || (frame[6] & 1))
        abort();
}

static struct vnet *make(unsigned *from)
{
    const struct vnet_network home = {"home", 0xc0a80001, 24, 1500, 3600, "lab.test"};
    const struct vnet_network tiny = {"tiny", 0x0a020001, 29, 576, 1, NULL};
    struct err e;
    struct vnet *v = vnet_new(&limits, 1, output, from);
    if (vnet_add_network(v, &home, &e) < 0 || vnet_add_network(v, &tiny, &e) < 0)
        abort();
    for (unsigned i = 0; i < 4; i++)
        if (vnet_add_plug(v, i / 2, &e) != (int)i)
            abort();
    return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned from = 0;
    uint64_t now = 0;
    struct vnet *v = make(&from);
    while (size >= 3) {
        from = data[0] & 3;
        now += (data[0] >> 2) * (uint64_t)1000000000;
        size_t n = (size_t)data[1] << 8 | data[2];
        if (n > size - 3)
            n = size - 3;
        uint8_t *exact = malloc(n ? n : 1); // a read beyond it shows
        memcpy(exact, data + 3, n);
        vnet_input(v, now, from, exact, n);
        free(exact);
        vnet_advance(v, now);
        if (vnet_next(v) != VNET_NEVER)
            abort();
        data += 3 + n;
        size -= 3 + n;
    }
    vnet_free(v);
    return 0;
}
