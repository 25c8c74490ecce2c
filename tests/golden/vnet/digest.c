// Prints a digest of all that comes out of a lab, and when, in a long and busy life of it: frames
// drawn at random from the inputs of a fuzz target, the files named on the command line.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../../fuzz/lab.h"
#include "base/hash.h"
#include "base/mem.h"
#include "vnet/random.h"

enum { FRAMES_MAX = 4096, STEPS = 30000, INPUT_MAX = 1 << 20, PAUSE_NS = 20000000 };

struct input {
    unsigned plug;
    size_t n;
    const uint8_t *frame;
};

struct inputs {
    struct input all[FRAMES_MAX];
    unsigned count;
};

struct out {
    uint64_t sum, frames;
};

static void mix(struct out *o, const void *data, size_t n)
{
    const uint64_t pair[] = {o->sum, hash_bytes(data, n)};
    o->sum = hash_bytes(pair, sizeof pair);
}

static void output(void *arg, unsigned plug, struct frame *f)
{
    struct out *o = arg;
    mix(o, &plug, sizeof plug);
    mix(o, vnet_frame_data(f), vnet_frame_size(f));
    o->frames++;
}

static void trace(void *arg, uint64_t at, unsigned plug, enum vnet_direction direction, int drop,
                  const uint8_t *frame, size_t n)
{
    const uint64_t what[] = {at, plug, (uint64_t)direction, (uint64_t)drop, n};
    (void)frame;
    mix(arg, what, sizeof what);
}

// The bytes stay where they are.
static void collect(struct inputs *in, const uint8_t *data, size_t size)
{
    while (size >= 3 && in->count < FRAMES_MAX) {
        size_t n = (size_t)data[1] << 8 | data[2];
        if (n > size - 3)
            n = size - 3;
        in->all[in->count++] = (struct input){data[0] % LAB_PLUGS, n, data + 3};
        data += 3 + n;
        size -= 3 + n;
    }
}

static void run(struct out *o, const struct inputs *in)
{
    const struct vnet_owner owner = {.output = output, .trace = trace, .arg = o};
    struct vnet *v = vnet_new(&vnet_default_limits, 42, &owner);
    struct random random = random_stream(7, 0);
    uint64_t now = 0;
    lab_fill(v);
    for (unsigned i = 0; i < LAB_PLUGS; i++) {
        const struct vnet_link slow = {.delay = i * 1000003};
        vnet_set_link(v, i, i % 2 ? VNET_UP : VNET_DOWN, &slow);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        const struct input *one = &in->all[random_below(&random, in->count)];
        now += random_below(&random, PAUSE_NS);
        vnet_input(v, now, one->plug, one->frame, one->n);
        vnet_advance(v, now);
    }
    vnet_free(v);
}

int main(int argc, char **argv)
{
    struct out o = {0};
    struct inputs *in = xcalloc(1, sizeof *in);
    for (int i = 1; i < argc; i++) {
        uint8_t *data = xcalloc(1, INPUT_MAX); // lasts to the end
        FILE *f = fopen(argv[i], "rb");
        if (!f)
            return 1;
        collect(in, data, fread(data, 1, INPUT_MAX, f));
        fclose(f);
    }
    if (in->count == 0)
        return 1;
    run(&o, in);
    printf("%016" PRIx64 " of %s frames\n", o.sum, o.frames > STEPS ? "many" : "few");
    return 0;
}
