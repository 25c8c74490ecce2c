// A table of connections, each at the one place that its ends lead to: one that has lost it to
// another gets what the way out takes.
#include "vnet/egress/mss.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "vnet/egress/segment.h"
#include "vnet/ip/checksum.h"

enum {
    PLACES = 4096,
    LARGE = 32768,
    UNSAID = 536, // RFC 9293, 3.7.1
    LEAST = 48,   // as Linux has it
    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_MSS = 2,
    OPTION_MSS_SIZE = 4,
};

struct ends {
    uint32_t guest, other;
    uint16_t guest_port, other_port;
};

struct mss {
    size_t most;
    bool large;
    struct {
        struct ends ends;
        uint16_t mss;
    } places[PLACES];
};

struct mss *mss_new(unsigned mtu, bool large)
{
    struct mss *m = xcalloc(1, sizeof *m);
    m->most = mtu - IPV4_HEADER - TCP_HEADER;
    m->large = large;
    return m;
}

void mss_free(struct mss *m)
{
    free(m);
}

unsigned mss_large_mtu(const struct mss *m)
{
    enum { HEADERS = IPV4_HEADER + TCP_HEADER };
    return (unsigned)(HEADERS + (m->large ? LARGE / m->most : 1) * m->most);
}

static size_t place_of(const struct ends *ends)
{
    return hash_bytes(ends, sizeof *ends) % PLACES;
}

// The TCP header of an IPv4 packet; empty where there is none.
static struct bytes find_tcp(struct bytes frame)
{
    size_t header = 4 * (size_t)(get8(frame, SEGMENT_IP) & 15);
    struct bytes tcp = frame;
    struct bytes before;
    bool is_first = get16(frame, ETHERNET_HEADER - 2) == ETHERTYPE_IPV4 &&
                    get8(frame, SEGMENT_IP + IPV4_PROTOCOL) == PROTOCOL_TCP &&
                    !(get16(frame, SEGMENT_IP + IPV4_FRAGMENT) & IPV4_OFFSET);
    if (!is_first || !pull(&tcp, SEGMENT_IP + header, &before) || tcp.n < TCP_HEADER)
        return (struct bytes){0};
    return tcp;
}

static bool is_syn(struct bytes tcp)
{
    return get8(tcp, TCP_FLAGS) & TCP_SYN;
}

// Where the value of the option is in the header; 0: it is not said.
static size_t find_option(struct bytes tcp)
{
    size_t end = 4 * (size_t)(get8(tcp, TCP_FLAGS - 1) >> 4);
    for (size_t at = TCP_HEADER; at < end && at < tcp.n;) {
        unsigned kind = get8(tcp, at);
        size_t size = kind == OPTION_NOP ? 1 : get8(tcp, at + 1);
        if (kind == OPTION_MSS && size == OPTION_MSS_SIZE && at + size <= tcp.n)
            return at + 2;
        if (kind == OPTION_END || size == 0)
            break;
        at += size;
    }
    return 0;
}

static uint16_t swap(uint16_t v)
{
    return (uint16_t)(v << 8 | v >> 8);
}

static void change(uint8_t *frame, struct bytes tcp, size_t at, uint16_t v)
{
    enum { SUM = 16 };
    uint8_t *header = frame + (tcp.at - frame);
    uint16_t old = get16(tcp, at);
    bool odd = at % 2; // each byte is in another word of the sum
    uint16_t sum = checksum_change(get16(tcp, SUM), odd ? swap(old) : old, odd ? swap(v) : v);
    segment_write16(header + at, v);
    segment_write16(header + SUM, sum);
}

void mss_out(struct mss *m, uint8_t *frame, size_t n)
{
    const struct bytes f = {frame, n};
    struct bytes tcp = find_tcp(f);
    if (!is_syn(tcp))
        return;
    size_t at = find_option(tcp);
    uint16_t said = at ? get16(tcp, at) : UNSAID;
    const struct ends ends = {get32(f, SEGMENT_IP + IPV4_FROM), get32(f, SEGMENT_IP + IPV4_TO),
                              get16(tcp, 0), get16(tcp, 2)};
    size_t place = place_of(&ends);
    m->places[place].ends = ends;
    m->places[place].mss = said > LEAST ? said : LEAST;
    if (at)
        change(frame, tcp, at, (uint16_t)(mss_large_mtu(m) - IPV4_HEADER - TCP_HEADER));
}

void mss_in(const struct mss *m, uint8_t *frame, size_t n)
{
    struct bytes tcp = find_tcp((struct bytes){frame, n});
    size_t at = is_syn(tcp) ? find_option(tcp) : 0;
    if (at && get16(tcp, at) > m->most)
        change(frame, tcp, at, (uint16_t)m->most);
}

size_t mss_find(const struct mss *m, const uint8_t *head, size_t n)
{
    const struct bytes f = {head, n};
    struct bytes tcp = find_tcp(f);
    const struct ends ends = {get32(f, SEGMENT_IP + IPV4_TO), get32(f, SEGMENT_IP + IPV4_FROM),
                              get16(tcp, 2), get16(tcp, 0)};
    size_t place = place_of(&ends);
    bool known = memcmp(&m->places[place].ends, &ends, sizeof ends) == 0;
    return known && m->places[place].mss < m->most ? m->places[place].mss : m->most;
}
