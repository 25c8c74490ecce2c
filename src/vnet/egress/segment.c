// Headers of twenty bytes each.
#include "vnet/egress/segment.h"

#include "vnet/ip/checksum.h"

enum { NO_IP_OPTIONS = 0x45, NO_TCP_OPTIONS_ACK = 0x5010 };

bool segment_is_packet(struct bytes f)
{
    return f.n >= SEGMENT_TCP && get16(f, ETHERNET_HEADER - 2) == ETHERTYPE_IPV4 &&
           get8(f, SEGMENT_IP) == NO_IP_OPTIONS &&
           get16(f, SEGMENT_IP + IPV4_LENGTH) == f.n - SEGMENT_IP;
}

bool segment_is_plain(struct bytes f, unsigned flags)
{
    return f.n >= SEGMENT_DATA && segment_is_packet(f) &&
           !(get16(f, SEGMENT_IP + IPV4_FRAGMENT) & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET)) &&
           get8(f, SEGMENT_IP + IPV4_PROTOCOL) == PROTOCOL_TCP &&
           (get16(f, SEGMENT_FLAGS) & ~flags) == NO_TCP_OPTIONS_ACK;
}

uint32_t segment_header_sum(struct bytes f)
{
    return checksum_add(checksum_pseudo(get32(f, SEGMENT_IP + IPV4_FROM),
                                        get32(f, SEGMENT_IP + IPV4_TO), PROTOCOL_TCP,
                                        f.n - SEGMENT_TCP),
                        (struct bytes){f.at + SEGMENT_TCP, TCP_HEADER});
}

void segment_write16(uint8_t *at, size_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

void segment_change_ip(uint8_t *frame, size_t at, size_t v)
{
    const struct bytes ip = {frame + SEGMENT_IP, IPV4_HEADER};
    uint16_t sum = checksum_change(get16(ip, IPV4_CHECKSUM), get16(ip, at), (uint16_t)v);
    segment_write16(frame + SEGMENT_IP + at, v);
    segment_write16(frame + SEGMENT_IP + IPV4_CHECKSUM, sum);
}

void segment_seal(uint8_t *frame, size_t n, uint32_t data)
{
    segment_write16(frame + SEGMENT_SUM, 0);
    uint32_t sum = data + segment_header_sum((struct bytes){frame, n});
    segment_write16(frame + SEGMENT_SUM, checksum_finish(sum));
}
