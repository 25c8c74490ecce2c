// Nothing listens: every segment but a reset is answered with a reset, so that a connection fails
// at once and not after minutes (RFC 9293, 3.10.7.1).
#include "vnet/tcp.h"

#include "vnet/ip.h"
#include "vnet/ipv4.h"

enum { TCP_HEADER = 20, FIN = 1, SYN = 2, RST = 4, ACK = 16 };

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
    unsigned flags = get8(segment, 13);
    size_t header = 4 * (size_t)(get8(segment, 12) >> 4);
    // SYN and FIN have a sequence number each, as every byte has.
    size_t length = segment.n - header + ((flags & SYN) != 0) + ((flags & FIN) != 0);
    put16(f, get16(segment, 2));
    put16(f, get16(segment, 0));
    put32(f, flags & ACK ? get32(segment, 8) : 0);
    put32(f, flags & ACK ? 0 : get32(segment, 4) + (uint32_t)length);
    put8(f, TCP_HEADER / 4 << 4);
    put8(f, flags & ACK ? RST : RST | ACK);
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
    if (!(get8(segment, 13) & RST))
        reset(p, segment);
}
