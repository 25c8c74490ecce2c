// Checks IPv4 headers and hands on what is for the router itself; the rest is forwarded.
#include "vnet/ip/ipv4.h"

#include "vnet/ip/checksum.h"
#include "vnet/ip/icmp.h"
#include "vnet/ip/internet.h"
#include "vnet/ip/neighbour.h"
#include "vnet/ip/reassembly.h"
#include "vnet/ip/tcp.h"
#include "vnet/ip/udp.h"
#include "vnet/ip/uplink.h"
#include "vnet/ip/way-in.h"
#include "vnet/nat/nat.h"
#include "vnet/services/dns-tcp.h"
#include "vnet/switch/ethernet.h"

enum {
    TTL = 64, // RFC 1700, of answers
    LENGTH_MAX = 65535,
    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_LOOSE_ROUTE = 131,
    OPTION_STRICT_ROUTE = 137,
};

static const struct {
    uint8_t protocol;
    void (*input)(struct packet *p, struct bytes payload);
} protocols[] = {
    {PROTOCOL_ICMP, icmp_input},
    {PROTOCOL_TCP, tcp_input},
    {PROTOCOL_UDP, udp_input},
};

static uint32_t host_bits(const struct network *net)
{
    return UINT32_MAX >> net->is.prefix;
}

bool ipv4_is_host(const struct network *net, uint32_t address)
{
    uint32_t hosts = host_bits(net);
    uint32_t host = address & hosts;
    return net->is.router && (address & ~hosts) == (net->is.router & ~hosts) && host != 0 &&
           host != hosts;
}

bool ipv4_is_broadcast(const struct network *net, uint32_t address)
{
    return address == IPV4_BROADCAST || (net->is.router | host_bits(net)) == address;
}

bool ipv4_is_multicast(uint32_t address)
{
    return address >> 28 == 0xe;
}

static bool is_router(const struct network *net, uint32_t address)
{
    return address && (address == net->is.router || address == net->is.wan);
}

bool ipv4_is_own(const struct packet *p)
{
    return p->host ? p->to == p->host->address : is_router(p->network, p->to);
}

uint32_t ipv4_answer_from(const struct packet *p)
{
    const struct vnet_network *is = &p->network->is;
    if (ipv4_is_own(p))
        return p->to;
    return p->plug || !is->wan ? is->router : is->wan;
}

// A packet cannot end beyond what its reassembled length can say ("ping of death").
static bool is_sound(struct bytes header, struct bytes payload)
{
    size_t offset = 8 * (size_t)(get16(header, IPV4_FRAGMENT) & IPV4_OFFSET);
    return checksum_finish(checksum_add(0, header)) == 0 &&
           header.n + offset + payload.n <= LENGTH_MAX;
}

// Cuts header and payload to their lengths (an Ethernet frame may be padded).
static bool split(struct bytes packet, struct bytes *header, struct bytes *payload)
{
    size_t header_length = 4 * (size_t)(get8(packet, 0) & 15);
    size_t total = get16(packet, IPV4_LENGTH);
    if (packet.n < IPV4_HEADER || get8(packet, 0) >> 4 != 4 || header_length < IPV4_HEADER ||
        total < header_length || !pull(&packet, total, payload))
        return false;
    return pull(payload, header_length, header) && is_sound(*header, *payload);
}

// Options pass as they are, but for a sender that chooses the way (RFC 7126, 4.3 and 4.4).
static bool has_source_route(struct bytes header)
{
    for (size_t at = IPV4_HEADER; at < header.n;) {
        unsigned kind = get8(header, at);
        size_t length = get8(header, at + 1);
        if (kind == OPTION_LOOSE_ROUTE || kind == OPTION_STRICT_ROUTE)
            return true;
        if (kind == OPTION_END || (kind != OPTION_NOP && length < 2))
            break;
        at += kind == OPTION_NOP ? 1 : length;
    }
    return false;
}

// RFC 1122, 3.2.1.3: addresses that never are on a wire, or never as a source.
static bool is_impossible(const struct packet *p)
{
    return p->from >> 24 == 127 || p->to >> 24 == 127 || p->from >> 28 >= 0xe || p->to == 0;
}

// A source address that is not where the packet comes from is forged (RFC 2827, RFC 3704): a guest
// has one of its LAN, and such a one comes from nowhere else. Who has none yet, or one of
// elsewhere, speaks to all.
static bool is_martian(const struct packet *p)
{
    const struct network *net = p->network;
    if (is_impossible(p) || is_router(net, p->from))
        return true;
    if (!p->plug)
        return p->from >> 24 == 0 || ipv4_is_host(net, p->from);
    return ipv4_is_broadcast(net, p->from) ||
           (!ipv4_is_host(net, p->from) && !ipv4_is_broadcast(net, p->to) &&
            !ipv4_is_multicast(p->to));
}

static void deliver_whole(struct packet *p, uint8_t protocol, struct bytes payload)
{
    if (way_in_takes(p, protocol, payload))
        return;
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        if (protocols[i].protocol == protocol) {
            protocols[i].input(p, payload);
            return;
        }
    }
    if (!ipv4_is_own(p))
        return;
    drop(p, VNET_DROP_NO_PROTOCOL);
    icmp_error(p, ICMP_PROTOCOL_UNREACHABLE, 0);
}

static void seal(struct frame *f, size_t at)
{
    size_t header = 4 * (size_t)(get8(written(f, at), 0) & 15);
    patch16(f, at + IPV4_CHECKSUM, 0);
    patch16(f, at + IPV4_CHECKSUM,
            checksum_finish(checksum_add(0, (struct bytes){f->data + at, header})));
}

// A packet that was put together gets the header that it would have had in one piece.
static void deliver(struct packet *p, struct bytes header, struct bytes payload)
{
    unsigned fragment = get16(header, IPV4_FRAGMENT);
    const struct fragment part = {.from = ip6_mapped(p->from),
                                  .to = ip6_mapped(p->to),
                                  .id = get16(header, IPV4_ID),
                                  .protocol = get8(header, IPV4_PROTOCOL),
                                  .at = 8 * (size_t)(fragment & IPV4_OFFSET),
                                  .more = fragment & IPV4_MORE_FRAGMENTS,
                                  .header = header,
                                  .payload = payload};
    if (!part.more && part.at == 0) {
        deliver_whole(p, part.protocol, payload);
        return;
    }
    struct frame *f = reassembly_add(p, &part);
    if (!f)
        return;
    size_t at = (size_t)(p->ip.at - f->data);
    patch16(f, at + IPV4_LENGTH, (unsigned)p->ip.n);
    patch16(f, at + IPV4_FRAGMENT, 0);
    seal(f, at);
    p->fragment = true;
    header.n = 4 * (size_t)(get8(p->ip, 0) & 15);
    deliver_whole(p, part.protocol, (struct bytes){p->ip.at + header.n, p->ip.n - header.n});
    pool_release(&p->v->pool, f);
}

// The packet in a buffer that may be written to, with a reference for the caller. Out of an uplink
// it lies in one that nobody else has.
static struct frame *own(struct packet *p)
{
    struct frame *f = p->buffer;
    if (f && !p->plug && f->refs == 1) {
        f->n = ETHERNET_HEADER + p->ip.n;
        f->refs++;
        return f;
    }
    f = ethernet_begin(p, mac_broadcast, ETHERTYPE_IPV4, p->ip.n);
    if (f)
        put(f, p->ip.at, p->ip.n);
    return f;
}

static void forward(struct packet *p)
{
    struct frame *f = own(p);
    if (!f)
        return;
    p->ip = written(f, ETHERNET_HEADER);
    ipv4_forward(p, f);
    pool_release(&p->v->pool, f);
}

// For the WAN address of a NAT: for the router, or for a host of the LAN.
static void input_to_wan(struct packet *p, struct bytes header, struct bytes payload)
{
    struct frame *f = own(p);
    if (!f)
        return;
    enum nat_verdict verdict = nat_in(p, f);
    if (verdict == NAT_OURS)
        deliver(p, header, payload);
    p->ip = written(f, ETHERNET_HEADER);
    if (verdict == NAT_INSIDE)
        ipv4_forward(p, f);
    pool_release(&p->v->pool, f);
}

static void deliver_or_hand_on(struct packet *p, struct bytes header, struct bytes payload)
{
    struct frame *f;
    if (!dns_tcp_takes(p, header, payload)) {
        deliver(p, header, payload);
    } else if ((f = own(p))) {
        dns_tcp_out(p, f);
        p->ip = written(f, ETHERNET_HEADER);
        ipv4_forward(p, f);
        pool_release(&p->v->pool, f);
    }
}

void ipv4_input(struct packet *p, struct bytes packet)
{
    struct bytes header;
    struct bytes payload;
    if (!split(packet, &header, &payload)) {
        drop(p, VNET_DROP_BAD_IPV4);
        return;
    }
    p->ip = (struct bytes){packet.at, header.n + payload.n};
    p->from = get32(header, IPV4_FROM);
    p->to = get32(header, IPV4_TO);
    if (p->host ? is_impossible(p) : is_martian(p))
        drop(p, VNET_DROP_MARTIAN);
    else if (has_source_route(header))
        drop(p, VNET_DROP_SOURCE_ROUTE);
    else if (p->network->nat && !p->host && p->to == p->network->is.wan && !mac_is_group(p->to_mac))
        input_to_wan(p, header, payload);
    else if ((p->plug && ipv4_is_broadcast(p->network, p->to)) ||
             (ipv4_is_own(p) && !mac_is_group(p->to_mac)))
        deliver_or_hand_on(p, header, payload);
    else if (ipv4_is_multicast(p->to))
        return; // the router is in no group
    else if (mac_is_group(p->to_mac))
        drop(p, VNET_DROP_LINK_BROADCAST); // RFC 1122, 3.3.6
    else
        forward(p);
}

struct frame *ipv4_begin(struct packet *p, struct mac to_mac, uint32_t from, uint32_t to,
                         uint8_t protocol, size_t n)
{
    struct frame *f = ethernet_begin(p, to_mac, ETHERTYPE_IPV4, IPV4_HEADER + n);
    if (!f)
        return NULL;
    put16(f, 0x4500); // version 4, five words of header, ordinary service
    put16(f, 0);      // length, see ipv4_send()
    put16(f, 0);      // identification: none needed with "don't fragment" (RFC 6864, 4.1)
    put16(f, IPV4_DONT_FRAGMENT);
    put8(f, TTL);
    put8(f, protocol);
    put16(f, 0); // checksum
    put32(f, from);
    put32(f, to);
    return f;
}

static void answer(struct packet *p, struct frame *f)
{
    f->refs++;
    uplink_answer(p, f);
}

// An answer to a packet that came in fragments may need some itself.
void ipv4_send(struct packet *p, struct frame *f)
{
    size_t mtu = p->plug ? p->network->is.mtu : p->network->is.wan_mtu;
    size_t n = written(f, ETHERNET_HEADER).n;
    patch16(f, ETHERNET_HEADER + IPV4_LENGTH, (unsigned)n);
    if (p->fragment || n > mtu) {
        patch16(f, ETHERNET_HEADER + IPV4_ID, (unsigned)random_next(&p->network->random));
        patch16(f, ETHERNET_HEADER + IPV4_FRAGMENT, 0);
    }
    seal(f, ETHERNET_HEADER);
    if (!f->full)
        ipv4_transmit(p, f, mtu, answer);
    pool_release(&p->v->pool, f);
}
