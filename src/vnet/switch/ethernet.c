// Looks at a frame's Ethernet header: what the switch carries, and what the router gets.
#include "vnet/switch/ethernet.h"

#include "vnet/ip/arp.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/ipv6.h"
#include "vnet/switch/switch.h"

const struct mac mac_broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

// Everything else is dropped: a value below 0x600 is a length (IEEE 802.3, 3.2.6), as spanning
// tree's, and a VLAN tag or 802.1X would tell a guest of a switch that is not there. A transparent
// network carries them.
static const struct {
    uint16_t ethertype;
    void (*router)(struct packet *p, struct bytes payload);
} carried[] = {
    {ETHERTYPE_IPV4, ipv4_input},
    {ETHERTYPE_ARP, arp_input},
    {ETHERTYPE_IPV6, ipv6_input},
};

static bool speaks(const struct network *net, unsigned ethertype)
{
    return ethertype == ETHERTYPE_IPV6 ? net->is.prefix6 != 0 : net->is.router != 0;
}

static void to_router(struct packet *p, unsigned ethertype, struct bytes payload)
{
    for (size_t i = 0; i < sizeof carried / sizeof *carried; i++) {
        if (carried[i].ethertype == ethertype && speaks(p->network, ethertype)) {
            carried[i].router(p, payload);
            return;
        }
    }
    if (!mac_is_group(p->to_mac))
        drop(p, VNET_DROP_NO_ROUTE);
}

static bool is_carried(const struct network *net, unsigned ethertype)
{
    return net->is.transparent || ethertype == ETHERTYPE_IPV4 || ethertype == ETHERTYPE_ARP ||
           ethertype == ETHERTYPE_IPV6;
}

static void dispatch(struct packet *p, unsigned ethertype, struct bytes frame, struct bytes payload)
{
    const struct mac zero = {{0}};
    if (!is_carried(p->network, ethertype))
        drop(p, VNET_DROP_ETHERTYPE);
    else if (mac_is_group(p->from_mac) || mac_equal(p->from_mac, zero))
        drop(p, VNET_DROP_BAD_SOURCE);
    else if (!switch_learn(p))
        return;
    else if (mac_is_group(p->to_mac)) {
        switch_flood(p, frame);
        to_router(p, ethertype, payload);
    } else if (mac_equal(p->to_mac, p->network->router_mac))
        to_router(p, ethertype, payload);
    else
        switch_unicast(p, frame);
}

void ethernet_input(struct packet *p, struct bytes frame)
{
    struct bytes payload = frame;
    struct bytes header;
    if (!pull(&payload, ETHERNET_HEADER, &header)) {
        drop(p, VNET_DROP_SHORT_FRAME);
        return;
    }
    if (frame.n > VNET_FRAME_MAX) {
        drop(p, VNET_DROP_LONG_FRAME);
        return;
    }
    p->to_mac = get_mac(header, 0);
    p->from_mac = get_mac(header, 6);
    dispatch(p, get16(header, 12), frame, payload);
}

void ethernet_from_uplink(struct packet *p, struct bytes frame)
{
    struct bytes payload = frame;
    struct bytes header;
    if (pull(&payload, ETHERNET_HEADER, &header))
        to_router(p, get16(header, 12), payload);
}

struct frame *ethernet_begin(struct packet *p, struct mac to, unsigned ethertype, size_t n)
{
    struct frame *f = pool_take(&p->v->pool, ETHERNET_HEADER + n);
    if (!f) {
        drop(p, VNET_DROP_NO_BUFFER);
        return NULL;
    }
    put_mac(f, to);
    put_mac(f, p->network->router_mac);
    put16(f, ethertype);
    return f;
}

void ethernet_send(struct packet *p, struct frame *f)
{
    if (!f->full)
        switch_send(p, f);
    pool_release(&p->v->pool, f);
}
