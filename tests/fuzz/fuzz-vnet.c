// Fuzzes a whole lab (lab.h) with frames. An input is a row of them: the plug (its low two bits;
// the others are for the time that passes before, 0 to 198 s), the length in two bytes, the frame.
#include "lab.h"

#include <stdint.h>
#include <string.h>

#include "vnet/lab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct vnet_limits limits = {
    .networks = LAB_NETWORKS,
    .plugs = LAB_PLUGS,
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
    struct vnet *v = vnet_new(&limits, 1, &(struct vnet_owner){.output = output});
    lab_fill(v);
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
