// Fragments of what may be a fragment itself.
#include "vnet/egress/fragment.h"

#include <string.h>

bool fragment_begin(struct fragment *f, const uint8_t *frame, size_t n, size_t mtu)
{
    if (!segment_is_packet((struct bytes){frame, n}) || n - SEGMENT_IP <= mtu)
        return false;
    *f = (struct fragment){
        .frame = frame, .end = n - SEGMENT_TCP, .most = (mtu - IPV4_HEADER) & ~(size_t)7};
    return true;
}

static size_t next(const struct fragment *f)
{
    size_t left = f->end - f->at;
    return left < f->most ? left : f->most;
}

size_t fragment_size(const struct fragment *f)
{
    return f->at < f->end ? SEGMENT_TCP + next(f) : 0;
}

void fragment_take(struct fragment *f, uint8_t *out)
{
    size_t n = next(f);
    size_t place = get16((struct bytes){f->frame, SEGMENT_TCP}, SEGMENT_IP + IPV4_FRAGMENT);
    bool last = f->at + n == f->end;
    memcpy(out, f->frame, SEGMENT_TCP);
    memcpy(out + SEGMENT_TCP, f->frame + SEGMENT_TCP + f->at, n);
    place = (place + f->at / 8) | (last ? 0 : IPV4_MORE_FRAGMENTS);
    segment_change_ip(out, IPV4_FRAGMENT, place);
    segment_change_ip(out, IPV4_LENGTH, IPV4_HEADER + n);
    f->at += n;
}
