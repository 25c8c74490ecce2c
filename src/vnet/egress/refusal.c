// ICMP for one purpose.
#include "vnet/egress/refusal.h"

#include "vnet/egress/translate.h"
#include "vnet/ip/checksum.h"
#include "vnet/ip/icmp.h"
#include "vnet/ip/ipv4.h"
#include "vnet/switch/ethernet.h"

enum { PROHIBITED = 0x030d, QUOTE = 8, TTL = 64 };

static void seal(struct frame *f, size_t from, size_t at_sum)
{
    patch16(f, at_sum, checksum_finish(checksum_add(0, written(f, from))));
}

// Errors have no errors, nor have later fragments.
static bool may_have_one(struct bytes packet, size_t header)
{
    const struct bytes payload = {packet.at + header, packet.n - header};
    bool later = get16(packet, IPV4_FRAGMENT) & IPV4_OFFSET;
    return !later && !(get8(packet, IPV4_PROTOCOL) == PROTOCOL_ICMP && icmp_is_error(payload));
}

size_t refusal_write(uint8_t out[static REFUSAL_MAX], const uint8_t *frame, size_t n)
{
    struct frame f = {.data = out, .size = REFUSAL_MAX};
    struct bytes packet = {frame, n};
    struct bytes ethernet;
    if (!pull(&packet, ETHERNET_HEADER, &ethernet) || get16(ethernet, 12) != ETHERTYPE_IPV4)
        return 0;
    size_t header = 4 * (size_t)(get8(packet, 0) & 15);
    if (header < IPV4_HEADER || packet.n < header + QUOTE || !may_have_one(packet, header))
        return 0;
    put_zeros(&f, 12);
    put16(&f, ETHERTYPE_IPV4);
    put16(&f, 0x4500);
    put16(&f, (unsigned)(IPV4_HEADER + ICMP_HEADER + header + QUOTE));
    put32(&f, IPV4_DONT_FRAGMENT);
    put8(&f, TTL);
    put8(&f, PROTOCOL_ICMP);
    put16(&f, 0); // checksum
    put32(&f, EGRESS_SLIRP);
    put32(&f, get32(packet, IPV4_FROM));
    seal(&f, ETHERNET_HEADER, ETHERNET_HEADER + IPV4_CHECKSUM);
    size_t icmp = f.n;
    put16(&f, PROHIBITED);
    put_zeros(&f, 6); // checksum, unused
    put(&f, packet.at, header + QUOTE);
    seal(&f, icmp, icmp + 2);
    return f.full ? 0 : f.n;
}
