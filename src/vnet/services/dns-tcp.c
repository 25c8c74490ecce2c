// Changes one end of each packet.
#include "vnet/services/dns-tcp.h"

#include "vnet/ip/ipv4.h"
#include "vnet/ip/tcp.h"
#include "vnet/nat/nat.h"
#include "vnet/services/dns.h"

enum { AT_TO_PORT = 2 };

bool dns_tcp_takes(const struct packet *p, struct bytes header, struct bytes payload)
{
    return p->v->way_out && p->plug && p->to == p->network->is.router &&
           get8(header, IPV4_PROTOCOL) == PROTOCOL_TCP && payload.n >= TCP_HEADER &&
           !(get16(header, IPV4_FRAGMENT) & (IPV4_OFFSET | IPV4_MORE_FRAGMENTS)) &&
           get16(payload, AT_TO_PORT) == DNS_PORT;
}

void dns_tcp_out(struct packet *p, struct frame *f)
{
    unsigned network = (unsigned)(p->network - p->v->networks);
    p->to = VNET_EGRESS_DNS;
    nat_rewrite(f, NAT_TO, p->to, (uint16_t)(VNET_EGRESS_DNS_PORT + network));
}

void dns_tcp_in(struct packet *p, struct frame *f)
{
    if (get8(p->ip, IPV4_PROTOCOL) != PROTOCOL_TCP || (get16(p->ip, IPV4_FRAGMENT) & IPV4_OFFSET))
        return;
    p->from = p->network->is.router;
    nat_rewrite(f, NAT_FROM, p->from, DNS_PORT);
}
