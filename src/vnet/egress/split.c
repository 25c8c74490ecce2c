// The headers stay, but for lengths, sequence numbers and what only the last one may say.
#include "vnet/egress/split.h"

#include <string.h>

#include "vnet/ip/checksum.h"

bool split_begin(struct split *s, const uint8_t *frame, size_t n)
{
    if (!segment_is_plain((struct bytes){frame, n}, TCP_PUSH | TCP_FIN | TCP_URG) ||
        n == SEGMENT_DATA)
        return false;
    memcpy(s->head, frame, sizeof s->head);
    s->data = frame + SEGMENT_DATA;
    s->n = s->most = n - SEGMENT_DATA;
    return true;
}

static size_t next(const struct split *s)
{
    return s->n < s->most ? s->n : s->most;
}

size_t split_size(const struct split *s)
{
    return s->n > 0 ? SEGMENT_DATA + next(s) : 0;
}

// How far it is to the end of what is urgent.
static void advance_urgent(struct split *s, size_t n)
{
    size_t left = get16((struct bytes){s->head, sizeof s->head}, SEGMENT_URGENT);
    segment_write16(s->head + SEGMENT_URGENT, left > n ? left - n : 0);
    if (left <= n)
        s->head[SEGMENT_FLAGS + 1] &= (uint8_t)~TCP_URG;
}

static void advance(struct split *s, size_t n)
{
    const struct bytes head = {s->head, sizeof s->head};
    uint32_t sequence = get32(head, SEGMENT_SEQUENCE) + (uint32_t)n;
    segment_write16(s->head + SEGMENT_SEQUENCE, sequence >> 16);
    segment_write16(s->head + SEGMENT_SEQUENCE + 2, sequence);
    advance_urgent(s, n);
    s->data += n;
    s->n -= n;
}

void split_take(struct split *s, uint8_t *out, uint16_t id)
{
    size_t n = next(s);
    memcpy(out, s->head, SEGMENT_DATA);
    memcpy(out + SEGMENT_DATA, s->data, n);
    if (n < s->n)
        out[SEGMENT_FLAGS + 1] &= (uint8_t) ~(TCP_PUSH | TCP_FIN);
    segment_change_ip(out, IPV4_LENGTH, SEGMENT_DATA - SEGMENT_IP + n);
    segment_change_ip(out, IPV4_ID, id);
    segment_seal(out, SEGMENT_DATA + n, checksum_add(0, (struct bytes){out + SEGMENT_DATA, n}));
    advance(s, n);
}
