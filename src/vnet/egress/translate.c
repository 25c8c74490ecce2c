// Rewrites addresses and ports; checksums change by what changes (RFC 1624).
#include "vnet/egress/translate.h"

#include "vnet/ip/checksum.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/tcp.h"
#include "vnet/switch/ethernet.h"

static const uint32_t lab_addresses[] = {VNET_EGRESS_LAB, VNET_EGRESS_LAB + 1,
                                         VNET_EGRESS_NETWORK + 5};

// Never on the internet, or not one host's (RFC 6890).
static const struct {
    uint32_t address, mask;
} nowhere[] = {
    {0x00000000, 0xff000000}, // this network
    {0x7f000000, 0xff000000}, // loopback
    {0xc0000000, 0xffffff00}, // protocol assignments, ours among them
    {0xe0000000, 0xe0000000}, // multicast, reserved, broadcast
};

static uint16_t read16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t read32(const uint8_t *at)
{
    return (uint32_t)read16(at) << 16 | read16(at + 2);
}

static void write16(uint8_t *at, unsigned v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

// Where things are in a packet that has been checked.
struct view {
    uint8_t *ip, *payload;
    uint8_t protocol;
    uint16_t id;
    bool first, more;
    uint8_t *sum; // of the payload; NULL: none is in this part
};

static bool look(uint8_t *frame, size_t n, struct view *w)
{
    struct bytes packet = {frame, n};
    struct bytes ethernet;
    if (!pull(&packet, ETHERNET_HEADER, &ethernet) || get16(ethernet, 12) != ETHERTYPE_IPV4)
        return false;
    size_t header = 4 * (size_t)(get8(packet, 0) & 15);
    if (header < IPV4_HEADER || packet.n < header)
        return false;
    unsigned fragment = get16(packet, IPV4_FRAGMENT);
    *w = (struct view){.ip = frame + ETHERNET_HEADER,
                       .payload = frame + ETHERNET_HEADER + header,
                       .protocol = get8(packet, IPV4_PROTOCOL),
                       .id = get16(packet, IPV4_ID),
                       .first = !(fragment & IPV4_OFFSET),
                       .more = fragment & IPV4_MORE_FRAGMENTS};
    size_t room = packet.n - header;
    size_t at_sum = w->protocol == PROTOCOL_TCP ? 16 : 6;
    bool has_ports = w->protocol == PROTOCOL_TCP || w->protocol == PROTOCOL_UDP;
    if (!has_ports || !w->first)
        return true;
    if (room < at_sum + 2)
        return false;
    w->sum = w->payload + at_sum;
    return true;
}

static void change(const struct view *w, uint8_t *at, uint16_t new, bool in_header)
{
    uint16_t old = read16(at);
    uint8_t *header_sum = w->ip + IPV4_CHECKSUM;
    write16(at, new);
    if (in_header)
        write16(header_sum, checksum_change(read16(header_sum), old, new));
    if (!w->sum || (w->protocol == PROTOCOL_UDP && read16(w->sum) == 0))
        return;
    uint16_t sum = checksum_change(read16(w->sum), old, new);
    write16(w->sum, w->protocol == PROTOCOL_UDP && sum == 0 ? 0xffff : sum);
}

static void change_address(const struct view *w, unsigned at, uint32_t new)
{
    change(w, w->ip + at, (uint16_t)(new >> 16), true);
    change(w, w->ip + at + 2, (uint16_t) new, true);
}

struct forward *translation_add(struct translation *t, const struct forward *f)
{
    unsigned same = 0;
    for (unsigned i = 0; i < t->forward_count; i++) {
        const struct forward *other = &t->forwards[i];
        same += other->protocol == f->protocol && other->host == f->host &&
                other->host_port == f->host_port;
    }
    if (t->forward_count == FORWARDS_MAX || same == sizeof lab_addresses / sizeof *lab_addresses)
        return NULL;
    struct forward *added = &t->forwards[t->forward_count++];
    *added = *f;
    if (!added->as)
        added->as = lab_addresses[same];
    return added;
}

// Who the other end is in the lab's eyes: a NAT's outside, or the lab itself.
static uint32_t lab_side(const struct forward *f)
{
    return f->as == VNET_EGRESS_ROUTER ? VNET_EGRESS_ROUTER : VNET_EGRESS_LAB;
}

void translation_resolve(struct translation *t, uint32_t host, uint16_t port)
{
    const struct forward f = {.protocol = PROTOCOL_UDP,
                              .lab = VNET_EGRESS_RESOLVER,
                              .lab_port = 53,
                              .as = VNET_EGRESS_ROUTER};
    if (!t->resolver)
        t->resolver = translation_add(t, &f);
    if (!t->resolver)
        return;
    t->resolver->host = host;
    t->resolver->host_port = port;
}

static void remember(struct translation *t, const struct view *w, const struct forward *f)
{
    unsigned at = t->next_fragment++ % FRAGMENTS_MAX;
    t->fragments[at].from = read32(w->ip + IPV4_FROM);
    t->fragments[at].to = read32(w->ip + IPV4_TO);
    t->fragments[at].id = w->id;
    t->fragments[at].forward = f;
}

static const struct forward *find_first(const struct translation *t, const struct view *w)
{
    for (unsigned i = 0; i < FRAGMENTS_MAX; i++)
        if (t->fragments[i].forward && t->fragments[i].id == w->id &&
            t->fragments[i].from == read32(w->ip + IPV4_FROM) &&
            t->fragments[i].to == read32(w->ip + IPV4_TO))
            return t->fragments[i].forward;
    return NULL;
}

static const struct forward *find_out(const struct translation *t, const struct view *w)
{
    uint32_t from = read32(w->ip + IPV4_FROM);
    uint32_t to = read32(w->ip + IPV4_TO);
    for (unsigned i = 0; w->sum && i < t->forward_count; i++) {
        const struct forward *f = &t->forwards[i];
        if (f->lab == to && lab_side(f) == from && f->protocol == w->protocol &&
            f->lab_port == read16(w->payload + 2))
            return f;
    }
    return NULL;
}

static const struct forward *find_in(const struct translation *t, const struct view *w)
{
    uint32_t from = read32(w->ip + IPV4_FROM);
    uint32_t to = read32(w->ip + IPV4_TO);
    for (unsigned i = 0; w->sum && i < t->forward_count; i++) {
        const struct forward *f = &t->forwards[i];
        if (f->host == from && f->as == to && f->protocol == w->protocol &&
            f->host_port == read16(w->payload))
            return f;
    }
    return NULL;
}

static bool may_reach(const struct translation *t, uint32_t to)
{
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++)
        if ((to & nowhere[i].mask) == nowhere[i].address)
            return false;
    for (unsigned i = 0; i < t->network_count; i++)
        if ((to & t->networks[i].mask) == (t->networks[i].address & t->networks[i].mask))
            return false;
    return t->open;
}

// Of a connection from the host to a guest; `port` is the lab's, which later fragments do not have.
static bool is_inward(const struct translation *t, const struct view *w, uint32_t lab,
                      const uint8_t *port)
{
    return lab == VNET_EGRESS_ROUTER &&
           (w->sum ? read16(port) <= VNET_EGRESS_PORTS : !w->first && !find_first(t, w));
}

// libslirp has programs of the host at an address of its own. To that it lets TCP answer, but not
// UDP.
static void name_host(const struct view *w, unsigned at, uint32_t from, uint32_t to)
{
    if (w->protocol == PROTOCOL_UDP && read32(w->ip + at) == from)
        change_address(w, at, to);
}

// Nobody in the lab begins one.
static enum verdict answer_inward(const struct view *w)
{
    bool syn = w->first && (w->payload[TCP_FLAGS] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
    if (w->protocol == PROTOCOL_TCP && syn)
        return DENIED;
    name_host(w, IPV4_TO, EGRESS_SLIRP, EGRESS_LOOPBACK);
    return PASS;
}

enum verdict translate_out(struct translation *t, uint8_t *frame, size_t n)
{
    struct view w;
    if (!look(frame, n, &w))
        return DENIED;
    if (is_inward(t, &w, read32(w.ip + IPV4_FROM), w.payload))
        return answer_inward(&w);
    const struct forward *f = w.first ? find_out(t, &w) : find_first(t, &w);
    if (!f || f->host == 0)
        return !f && may_reach(t, read32(w.ip + IPV4_TO)) ? PASS : DENIED;
    if (w.first && w.more)
        remember(t, &w, f);
    change_address(&w, IPV4_FROM, f->as);
    change_address(&w, IPV4_TO, f->host);
    if (w.sum)
        change(&w, w.payload + 2, f->host_port, false);
    return PASS;
}

void translate_in(struct translation *t, uint8_t *frame, size_t n)
{
    struct view w;
    if (!look(frame, n, &w))
        return;
    if (is_inward(t, &w, read32(w.ip + IPV4_TO), w.payload + 2)) {
        name_host(&w, IPV4_FROM, EGRESS_LOOPBACK, EGRESS_SLIRP);
        return;
    }
    const struct forward *f = w.first ? find_in(t, &w) : find_first(t, &w);
    if (!f)
        return;
    if (w.first && w.more)
        remember(t, &w, f);
    change_address(&w, IPV4_FROM, f->lab);
    change_address(&w, IPV4_TO, lab_side(f));
    if (w.sum)
        change(&w, w.payload, f->lab_port, false);
}
