// As receive offload does it: the same connection, no options, nothing missing between the two.
#include "vnet/egress/join.h"

#include <string.h>

#include "vnet/ip/checksum.h"
#include "vnet/ip/ipv4.h"
#include "vnet/switch/ethernet.h"

// Where things are in a frame that has headers without options.
enum {
    AT_IP = ETHERNET_HEADER,
    AT_TCP = AT_IP + IPV4_HEADER,
    AT_SEQUENCE = AT_TCP + 4,
    AT_ACK = AT_TCP + 8,
    AT_FLAGS = AT_TCP + 12, // and the header's length
    AT_SUM = AT_TCP + 16,
    TCP_HEADER = 20,
    AT_DATA = AT_TCP + TCP_HEADER,
};
enum { NO_IP_OPTIONS = 0x45, NO_TCP_OPTIONS_ACK = 0x5010, PUSH = 8 };

static bool is_plain(struct bytes f)
{
    return f.n >= AT_DATA && get16(f, ETHERNET_HEADER - 2) == ETHERTYPE_IPV4 &&
           get8(f, AT_IP) == NO_IP_OPTIONS && get16(f, AT_IP + IPV4_LENGTH) == f.n - AT_IP &&
           !(get16(f, AT_IP + IPV4_FRAGMENT) & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET)) &&
           get8(f, AT_IP + IPV4_PROTOCOL) == PROTOCOL_TCP &&
           (get16(f, AT_FLAGS) & ~PUSH) == NO_TCP_OPTIONS_ACK;
}

static bool is_same(struct bytes a, struct bytes b, size_t from, size_t to)
{
    return memcmp(a.at + from, b.at + from, to - from) == 0;
}

// Kind of service, fragmentation, hops, addresses, ports.
static bool is_same_connection(struct bytes a, struct bytes b)
{
    return is_same(a, b, 0, AT_IP + IPV4_LENGTH) &&
           is_same(a, b, AT_IP + IPV4_FRAGMENT, AT_IP + IPV4_CHECKSUM) &&
           is_same(a, b, AT_IP + IPV4_FROM, AT_SEQUENCE);
}

// What carries nothing must acknowledge more: the same once more says that a segment was lost.
static bool follows(struct bytes a, struct bytes b)
{
    uint32_t before = (uint32_t)(a.n - AT_DATA);
    size_t more = b.n - AT_DATA;
    uint32_t acked = get32(b, AT_ACK) - get32(a, AT_ACK);
    return get32(b, AT_SEQUENCE) == get32(a, AT_SEQUENCE) + before && acked <= INT32_MAX &&
           (more > 0 ? before % 2 == 0 : acked > 0);
}

static uint32_t header_sum(struct bytes f)
{
    return checksum_add(checksum_pseudo(get32(f, AT_IP + IPV4_FROM), get32(f, AT_IP + IPV4_TO),
                                        PROTOCOL_TCP, f.n - AT_TCP),
                        (struct bytes){f.at + AT_TCP, TCP_HEADER});
}

// What its data sum up to, if its checksum is right.
static uint16_t data_sum(struct bytes f)
{
    return checksum_finish(header_sum(f));
}

static void write16(uint8_t *at, size_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static void set_length(uint8_t *frame, size_t n)
{
    const struct bytes ip = {frame + AT_IP, IPV4_HEADER};
    uint16_t sum = checksum_change(get16(ip, IPV4_CHECKSUM), get16(ip, IPV4_LENGTH), (uint16_t)n);
    write16(frame + AT_IP + IPV4_LENGTH, n);
    write16(frame + AT_IP + IPV4_CHECKSUM, sum);
}

size_t join_segment(uint8_t *frame, size_t n, size_t room, const uint8_t *next, size_t size)
{
    const struct bytes a = {frame, n};
    const struct bytes b = {next, size};
    if (!is_plain(a) || !is_plain(b) || !is_same_connection(a, b) || !follows(a, b))
        return 0;
    size_t all = n + size - AT_DATA;
    if (all > room || all - AT_IP > UINT16_MAX)
        return 0;
    uint32_t sum = (uint32_t)data_sum(a) + data_sum(b);
    memcpy(frame + n, next + AT_DATA, size - AT_DATA);
    memcpy(frame + AT_ACK, next + AT_ACK, AT_SUM - AT_ACK); // flags and window, too
    set_length(frame, all - AT_IP);
    write16(frame + AT_SUM, 0);
    write16(frame + AT_SUM, checksum_finish(sum + header_sum((struct bytes){frame, all})));
    return all;
}
