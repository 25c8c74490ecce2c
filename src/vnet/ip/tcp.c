// Nothing listens: every segment but a reset is answered with a reset, so that a connection fails
// at once and not after minutes (RFC 9293, 3.10.7.1).
#include "vnet/ip/tcp.h"

#include "vnet/ip/ip.h"
#include "vnet/ip/ipv4.h"

static bool is_sound(const struct packet *p, struct bytes segment)
{
    size_t header = 4 * (size_t)(get8(segment, 12) >> 4);
    return header >= TCP_HEADER && header <= segment.n && ip_is_sound(p, PROTOCOL_TCP, segment);
}

static void reset(struct packet *p, struct bytes segment)
{
    struct frame *f = ip_begin(p, PROTOCOL_TCP, TCP_HEADER);
    if (!f)
        return;
    unsigned flags = get8(segment, TCP_FLAGS);
    size_t header = 4 * (size_t)(get8(segment, 12) >> 4);
    // SYN and FIN have a sequence number each, as every byte has.
    size_t length = segment.n - header + ((flags & TCP_SYN) != 0) + ((flags & TCP_FIN) != 0);
    put16(f, get16(segment, 2));
    put16(f, get16(segment, 0));
    put32(f, flags & TCP_ACK ? get32(segment, 8) : 0);
    put32(f, flags & TCP_ACK ? 0 : get32(segment, 4) + (uint32_t)length);
    put8(f, TCP_HEADER / 4 << 4);
    put8(f, flags & TCP_ACK ? TCP_RST : TCP_RST | TCP_ACK);
    put_zeros(f, 6); // window, checksum, urgent pointer
    patch16(f, ip_payload(f) + 16, ip_checksum(f));
    ip_send(p, f);
}

void tcp_input(struct packet *p, struct bytes segment)
{
    if (!ip_is_own(p))
        return;
    if (!is_sound(p, segment)) {
        drop(p, VNET_DROP_BAD_TCP);
        return;
    }
    drop(p, VNET_DROP_NO_PORT);
    if (!(get8(segment, TCP_FLAGS) & TCP_RST))
        reset(p, segment);
}
