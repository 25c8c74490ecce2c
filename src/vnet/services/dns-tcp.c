// Changes one end of each packet, and its checksums by what changes (RFC 1624).
#include "vnet/services/dns-tcp.h"

#include "vnet/ip/checksum.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/tcp.h"
#include "vnet/services/dns.h"
#include "vnet/switch/ethernet.h"

enum { AT_FROM_PORT = 0, AT_TO_PORT = 2, AT_SUM = 16 };

bool dns_tcp_takes(const struct packet *p, struct bytes header, struct bytes payload)
{
    return p->v->way_out && p->plug && p->to == p->network->is.router &&
           get8(header, IPV4_PROTOCOL) == PROTOCOL_TCP && payload.n >= TCP_HEADER &&
           !(get16(header, IPV4_FRAGMENT) & (IPV4_OFFSET | IPV4_MORE_FRAGMENTS)) &&
           get16(payload, AT_TO_PORT) == DNS_PORT;
}

static void change_sum(struct frame *f, size_t at, uint16_t old, uint16_t new)
{
    patch16(f, at, checksum_change(get16(written(f, at), 0), old, new));
}

static void change(struct frame *f, size_t at, uint16_t new, size_t tcp, bool in_header)
{
    uint16_t old = get16(written(f, at), 0);
    patch16(f, at, new);
    change_sum(f, tcp + AT_SUM, old, new);
    if (in_header)
        change_sum(f, ETHERNET_HEADER + IPV4_CHECKSUM, old, new);
}

static void change_end(struct frame *f, size_t at_address, size_t at_port, uint32_t address,
                       unsigned port)
{
    size_t at = ETHERNET_HEADER + at_address;
    size_t tcp = ETHERNET_HEADER + 4 * (size_t)(get8(written(f, ETHERNET_HEADER), 0) & 15);
    change(f, at, (uint16_t)(address >> 16), tcp, true);
    change(f, at + 2, (uint16_t)address, tcp, true);
    change(f, tcp + at_port, (uint16_t)port, tcp, false);
}

void dns_tcp_out(struct packet *p, struct frame *f)
{
    unsigned network = (unsigned)(p->network - p->v->networks);
    p->to = VNET_EGRESS_DNS;
    change_end(f, IPV4_TO, AT_TO_PORT, p->to, VNET_EGRESS_DNS_PORT + network);
}

void dns_tcp_in(struct packet *p, struct frame *f)
{
    if (get8(p->ip, IPV4_PROTOCOL) != PROTOCOL_TCP || (get16(p->ip, IPV4_FRAGMENT) & IPV4_OFFSET))
        return;
    p->from = p->network->is.router;
    change_end(f, IPV4_FROM, AT_FROM_PORT, p->from, DNS_PORT);
}
