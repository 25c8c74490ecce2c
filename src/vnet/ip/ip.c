// Chooses between ipv4.h and ipv6.h.
#include "vnet/ip/ip.h"

#include "vnet/ip/checksum.h"
#include "vnet/ip/icmp.h"
#include "vnet/ip/icmpv6.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/ipv6.h"
#include "vnet/switch/ethernet.h"

bool ip_is_own(const struct packet *p)
{
    return ip_is6(p) ? !ip6_is_multicast(&p->to6) : ipv4_is_own(p);
}

bool ip_is_sound(const struct packet *p, uint8_t protocol, struct bytes payload)
{
    uint32_t pseudo = ip_is6(p) ? ipv6_pseudo(&p->from6, &p->to6, protocol, payload.n)
                                : checksum_pseudo(p->from, p->to, protocol, payload.n);
    return checksum_finish(checksum_add(pseudo, payload)) == 0;
}

struct frame *ip_begin(struct packet *p, uint8_t protocol, size_t n)
{
    if (ip_is6(p))
        return ipv6_begin(p, p->from_mac, ipv6_answer_from(p), &p->from6, protocol, IPV6_HOPS, n);
    return ipv4_begin(p, p->from_mac, ipv4_answer_from(p), p->from, protocol, n);
}

static bool was_begun6(const struct frame *f)
{
    return get16(written(f, 0), 12) == ETHERTYPE_IPV6;
}

size_t ip_payload(const struct frame *f)
{
    return ETHERNET_HEADER + (size_t)(was_begun6(f) ? IPV6_HEADER : IPV4_HEADER);
}

uint16_t ip_checksum(const struct frame *f)
{
    struct bytes header = written(f, ETHERNET_HEADER);
    struct bytes payload = written(f, ip_payload(f));
    uint8_t protocol = get8(header, was_begun6(f) ? IPV6_NEXT : IPV4_PROTOCOL);
    uint32_t pseudo = was_begun6(f) ? ipv6_pseudo_written(f)
                                    : checksum_pseudo(get32(header, IPV4_FROM),
                                                      get32(header, IPV4_TO), protocol, payload.n);
    return checksum_finish(checksum_add(pseudo, payload));
}

void ip_send(struct packet *p, struct frame *f)
{
    if (was_begun6(f))
        ipv6_send(p, f);
    else
        ipv4_send(p, f);
}

void ip_no_port(struct packet *p)
{
    if (ip_is6(p))
        icmpv6_error(p, ICMPV6_NO_PORT, 0);
    else
        icmp_error(p, ICMP_PORT_UNREACHABLE, 0);
}
