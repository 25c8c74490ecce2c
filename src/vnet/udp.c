// Checks UDP headers and hands on what is for a service of the router.
#include "vnet/udp.h"

#include "vnet/checksum.h"
#include "vnet/dhcp.h"
#include "vnet/ethernet.h"
#include "vnet/icmp.h"
#include "vnet/ipv4.h"

enum { AT_LENGTH = 4, AT_CHECKSUM = 6, AT_UDP = ETHERNET_HEADER + IPV4_HEADER };

static const struct {
    uint16_t port;
    bool lan_only; // who asks through the uplink finds it closed
    void (*input)(struct packet *p, struct bytes payload);
} services[] = {
    {DHCP_SERVER_PORT, true, dhcp_input},
};

// A checksum of 0 is none (RFC 768).
static bool is_sound(struct packet *p, struct bytes datagram)
{
    uint32_t pseudo = checksum_pseudo(p->from, p->to, PROTOCOL_UDP, datagram.n);
    return get16(datagram, AT_CHECKSUM) == 0 ||
           checksum_finish(checksum_add(pseudo, datagram)) == 0;
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
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        if (services[i].port == get16(header, 2) && !p->host &&
            (p->plug || !services[i].lan_only)) {
            services[i].input(p, payload);
            return;
        }
    }
    if (!ipv4_is_own(p))
        return;
    drop(p, VNET_DROP_NO_PORT);
    icmp_error(p, ICMP_PORT_UNREACHABLE, 0);
}

struct frame *udp_begin(struct packet *p, struct mac to_mac, uint32_t to, unsigned from_port,
                        unsigned to_port, size_t n)
{
    struct frame *f = ipv4_begin(p, to_mac, ipv4_answer_from(p), to, PROTOCOL_UDP, UDP_HEADER + n);
    if (!f)
        return NULL;
    put16(f, from_port);
    put16(f, to_port);
    put16(f, 0); // length, see udp_send()
    put16(f, 0); // checksum
    return f;
}

void udp_send(struct packet *p, struct frame *f)
{
    struct bytes ip = written(f, ETHERNET_HEADER);
    struct bytes datagram = written(f, AT_UDP);
    patch16(f, AT_UDP + AT_LENGTH, (unsigned)datagram.n);
    uint32_t pseudo = checksum_pseudo(get32(ip, 12), get32(ip, 16), PROTOCOL_UDP, datagram.n);
    uint16_t sum = checksum_finish(checksum_add(pseudo, datagram));
    patch16(f, AT_UDP + AT_CHECKSUM, sum != 0 ? sum : 0xffff); // 0 would mean "none"
    ipv4_send(p, f);
}
