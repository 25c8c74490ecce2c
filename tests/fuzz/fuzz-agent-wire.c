// The decoder of the agent's wire. The first byte says in what pieces the rest is fed. Whatever
// comes, a sound frame that follows is found.
#include "agent/wire.h"

#include <stdlib.h>
#include <string.h>

static void read_frame(const struct wire_frame *f)
{
    struct wire_pair p;
    char value[32];
    unsigned char data[100];
    size_t pos = 0;

    if (f->length > WIRE_PAYLOAD_MAX || memchr(f->payload, 0, f->length))
        abort();
    while (wire_pair_next(f, &pos, &p))
        if (p.key + p.key_len >= p.value || p.value + p.value_len >= f->payload + f->length)
            abort();
    if (wire_get(f, "nic", value, sizeof value) >= (long)sizeof value)
        abort();
    if (wire_get_data(f, data, sizeof data) > (long)sizeof data || wire_get_number(f, "at") < -1)
        abort();
}

static void drain(struct wire_decoder *d, struct wire_frame *last)
{
    struct wire_frame f;

    while (wire_next(d, &f)) {
        read_frame(&f);
        *last = f;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char held[WIRE_FRAME_MAX];
    unsigned char sound[64];
    struct wire_frame last = {0};
    struct wire_decoder d;
    struct wire_writer w;
    size_t piece;

    if (size == 0)
        return 0;
    piece = data[0] ? data[0] : 65536;
    wire_decoder_init(&d, held, sizeof held);
    for (data++, size--; size;) {
        size_t n = wire_feed(&d, data, size < piece ? size : piece);

        if (!n)
            abort();
        data += n;
        size -= n;
        drain(&d, &last);
    }
    wire_begin(&w, sound, sizeof sound, WIRE_HELLO, 0xfeedbeef);
    wire_put(&w, "last", "%s", "yes");
    // An unfinished frame takes part of this one as its payload, and gives it back.
    wire_feed(&d, sound, wire_end(&w));
    last = (struct wire_frame){0};
    drain(&d, &last);
    if (last.type != WIRE_HELLO || last.nonce != 0xfeedbeef)
        abort();
    return 0;
}
