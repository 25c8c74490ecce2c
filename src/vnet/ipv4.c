// Checks IPv4 headers and hands on what is for the router itself.
#include "vnet/ipv4.h"

#include "vnet/checksum.h"
#include "vnet/ethernet.h"
#include "vnet/icmp.h"
#include "vnet/udp.h"

enum {
    AT_LENGTH = 2,
    AT_FRAGMENT = 6,
    AT_CHECKSUM = 10,
    DONT_FRAGMENT = 0x4000,
    FRAGMENT_MASK = 0x3fff, // more fragments, offset
    TTL = 64,               // RFC 1700, of answers
};

static const struct {
    uint8_t protocol;
    void (*input)(struct packet *p, struct bytes payload);
} protocols[] = {
    {PROTOCOL_ICMP, icmp_input},
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
    return (address & ~hosts) == (net->is.router & ~hosts) && host != 0 && host != hosts;
}

static bool is_broadcast(const struct network *net, uint32_t address)
{
    return address == IPV4_BROADCAST || address == (net->is.router | host_bits(net));
}

static bool is_multicast(uint32_t address)
{
    return address >> 28 == 0xe;
}

// Cuts header and payload to their lengths (an Ethernet frame may be padded).
static bool split(struct bytes packet, struct bytes *header, struct bytes *payload)
{
    size_t header_length = 4 * (size_t)(get8(packet, 0) & 15);
    size_t total = get16(packet, AT_LENGTH);
    if (packet.n < IPV4_HEADER || get8(packet, 0) >> 4 != 4 || header_length < IPV4_HEADER ||
        total < header_length || !pull(&packet, total, payload))
        return false;
    return pull(payload, header_length, header) && checksum_finish(checksum_add(0, *header)) == 0;
}

// RFC 1122, 3.2.1.3: addresses that never are on a wire, or never as a guest's source. 0.0.0.0 is
// one only to ask for an address by broadcast.
static bool is_martian(struct packet *p)
{
    return p->from >> 24 == 127 || p->to >> 24 == 127 || p->from >> 28 >= 0xe || p->to == 0 ||
           is_broadcast(p->network, p->from) || p->from == p->network->is.router ||
           (p->from == 0 && p->to != IPV4_BROADCAST && !is_multicast(p->to));
}

static void input_to_router(struct packet *p, struct bytes header, struct bytes payload)
{
    if (get16(header, AT_FRAGMENT) & FRAGMENT_MASK) {
        drop(p, VNET_DROP_FRAGMENT);
        return;
    }
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        if (protocols[i].protocol == get8(header, 9)) {
            protocols[i].input(p, payload);
            return;
        }
    }
    if (p->to == p->network->is.router)
        drop(p, VNET_DROP_NO_PROTOCOL);
}

void ipv4_input(struct packet *p, struct bytes packet)
{
    struct bytes header;
    struct bytes payload;
    if (!split(packet, &header, &payload)) {
        drop(p, VNET_DROP_BAD_IPV4);
        return;
    }
    p->from = get32(header, 12);
    p->to = get32(header, 16);
    if (is_martian(p))
        drop(p, VNET_DROP_MARTIAN);
    else if (is_broadcast(p->network, p->to) ||
             (p->to == p->network->is.router && !mac_is_group(p->to_mac)))
        input_to_router(p, header, payload);
    else if (is_multicast(p->to))
        return; // the router is in no group
    else if (mac_is_group(p->to_mac))
        drop(p, VNET_DROP_LINK_BROADCAST); // RFC 1122, 3.3.6
    else
        drop(p, get8(header, 8) <= 1 ? VNET_DROP_TTL : VNET_DROP_NO_ROUTE);
}

struct frame *ipv4_begin(struct packet *p, struct mac to_mac, uint32_t to, uint8_t protocol,
                         size_t n)
{
    struct frame *f = ethernet_begin(p, to_mac, ETHERTYPE_IPV4, IPV4_HEADER + n);
    if (!f)
        return NULL;
    put16(f, 0x4500); // version 4, five words of header, ordinary service
    put16(f, 0);      // length, see ipv4_send()
    put16(f, 0);      // identification: none needed with "don't fragment" (RFC 6864, 4.1)
    put16(f, DONT_FRAGMENT);
    put8(f, TTL);
    put8(f, protocol);
    put16(f, 0); // checksum
    put32(f, p->network->is.router);
    put32(f, to);
    return f;
}

void ipv4_send(struct packet *p, struct frame *f)
{
    struct bytes header;
    struct bytes packet = written(f, ETHERNET_HEADER);
    patch16(f, ETHERNET_HEADER + AT_LENGTH, (unsigned)packet.n);
    if (pull(&packet, IPV4_HEADER, &header))
        patch16(f, ETHERNET_HEADER + AT_CHECKSUM, checksum_finish(checksum_add(0, header)));
    ethernet_send(p, f);
}
