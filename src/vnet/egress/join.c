// As receive offload does it: the same connection, no options, nothing missing between the two.
#include "vnet/egress/join.h"

#include <string.h>

#include "vnet/egress/segment.h"
#include "vnet/ip/checksum.h"

static bool is_same(struct bytes a, struct bytes b, size_t from, size_t to)
{
    return memcmp(a.at + from, b.at + from, to - from) == 0;
}

// Kind of service, fragmentation, hops, addresses, ports.
static bool is_same_connection(struct bytes a, struct bytes b)
{
    return is_same(a, b, 0, SEGMENT_IP + IPV4_LENGTH) &&
           is_same(a, b, SEGMENT_IP + IPV4_FRAGMENT, SEGMENT_IP + IPV4_CHECKSUM) &&
           is_same(a, b, SEGMENT_IP + IPV4_FROM, SEGMENT_SEQUENCE);
}

// What carries nothing must acknowledge more: the same once more says that a segment was lost.
static bool follows(struct bytes a, struct bytes b)
{
    uint32_t before = (uint32_t)(a.n - SEGMENT_DATA);
    size_t more = b.n - SEGMENT_DATA;
    uint32_t acked = get32(b, SEGMENT_ACK) - get32(a, SEGMENT_ACK);
    return get32(b, SEGMENT_SEQUENCE) == get32(a, SEGMENT_SEQUENCE) + before &&
           acked <= INT32_MAX && (more > 0 ? before % 2 == 0 : acked > 0);
}

// What its data sum up to, if its checksum is right.
static uint16_t data_sum(struct bytes f)
{
    return checksum_finish(segment_header_sum(f));
}

size_t join_segment(uint8_t *frame, size_t n, size_t room, const uint8_t *next, size_t size)
{
    const struct bytes a = {frame, n};
    const struct bytes b = {next, size};
    if (!segment_is_plain(a, TCP_PUSH) || !segment_is_plain(b, TCP_PUSH) ||
        !is_same_connection(a, b) || !follows(a, b))
        return 0;
    size_t all = n + size - SEGMENT_DATA;
    if (all > room || all - SEGMENT_IP > UINT16_MAX)
        return 0;
    uint32_t sum = (uint32_t)data_sum(a) + data_sum(b);
    memcpy(frame + n, next + SEGMENT_DATA, size - SEGMENT_DATA);
    memcpy(frame + SEGMENT_ACK, next + SEGMENT_ACK,
           SEGMENT_SUM - SEGMENT_ACK); // flags and window, too
    segment_change_ip(frame, IPV4_LENGTH, all - SEGMENT_IP);
    segment_seal(frame, all, sum);
    return all;
}
