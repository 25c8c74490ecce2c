// Checks UDP headers and hands on what is for a service of the router.
#include "vnet/ip/udp.h"

#include "vnet/ip/ip.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/way-out.h"
#include "vnet/services/dhcp.h"
#include "vnet/services/dns-relay.h"
#include "vnet/services/dns.h"

enum { AT_LENGTH = 4, AT_CHECKSUM = 6 };

static const struct {
    uint16_t port;
    bool lan_only;  // who asks through the uplink finds it closed, as all are behind a NAT
    bool ipv4_only; // so does who asks by IPv6
    void (*input)(struct packet *p, struct bytes payload);
} services[] = {
    {DHCP_SERVER_PORT, true, true, dhcp_input},
    {DNS_PORT, false, false, dns_input},
};

// A checksum of 0 is none (RFC 768), which IPv6 does not allow (RFC 8200, 8.1).
static bool is_sound(const struct packet *p, struct bytes datagram)
{
    if (get16(datagram, AT_CHECKSUM) == 0)
        return !ip_is6(p);
    return ip_is_sound(p, PROTOCOL_UDP, datagram);
}

static bool is_open(const struct packet *p, size_t service, uint16_t port)
{
    bool is_outside = !p->plug;
    bool lan_only = services[service].lan_only || p->network->is.nat != VNET_NAT_NONE;
    return services[service].port == port && !p->host && !(is_outside && lan_only) &&
           !(ip_is6(p) && services[service].ipv4_only);
}

void udp_input(struct packet *p, struct bytes datagram)
{
    size_t length = get16(datagram, AT_LENGTH);
    struct bytes header;
    struct bytes payload;
    if (!pull(&datagram, length, &payload) || !is_sound(p, payload) ||
        !pull(&payload, UDP_HEADER, &header)) {
        drop(p, VNET_DROP_BAD_UDP);
        return;
    }
    if (way_out_is(p->v, p->network) && way_out_relay(p->v)) {
        relay_input(p, get16(header, 0), get16(header, 2), payload);
        return;
    }
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        if (is_open(p, i, get16(header, 2))) {
            p->from_port = get16(header, 0);
            services[i].input(p, payload);
            return;
        }
    }
    if (!ip_is_own(p))
        return;
    drop(p, VNET_DROP_NO_PORT);
    ip_no_port(p);
}

static struct frame *begin(struct frame *f, unsigned from_port, unsigned to_port)
{
    if (!f)
        return NULL;
    put16(f, from_port);
    put16(f, to_port);
    put16(f, 0); // length, see udp_send()
    put16(f, 0); // checksum
    return f;
}

struct frame *udp_begin(struct packet *p, unsigned from_port, unsigned to_port, size_t n)
{
    return begin(ip_begin(p, PROTOCOL_UDP, UDP_HEADER + n), from_port, to_port);
}

struct frame *udp_begin_to(struct packet *p, struct mac to_mac, uint32_t to, unsigned from_port,
                           unsigned to_port, size_t n)
{
    return begin(ipv4_begin(p, to_mac, ipv4_answer_from(p), to, PROTOCOL_UDP, UDP_HEADER + n),
                 from_port, to_port);
}

void udp_send(struct packet *p, struct frame *f)
{
    size_t at = ip_payload(f);
    patch16(f, at + AT_LENGTH, (unsigned)written(f, at).n);
    uint16_t sum = ip_checksum(f);
    patch16(f, at + AT_CHECKSUM, sum != 0 ? sum : 0xffff); // 0 would mean "none"
    ip_send(p, f);
}
