// Looks at a frame's Ethernet header: what the switch carries, and what the router gets.
#include "vnet/ethernet.h"

#include "vnet/arp.h"
#include "vnet/ipv4.h"
#include "vnet/switch.h"

const struct mac mac_broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

// Everything else is dropped: a value below 0x600 is a length (IEEE 802.3, 3.2.6), as spanning
// tree's, and a VLAN tag or 802.1X would tell a guest of a switch that is not there.
static const struct {
    uint16_t ethertype;
    void (*router)(struct packet *p, struct bytes payload); // NULL: the router does not speak it
} carried[] = {
    {ETHERTYPE_IPV4, ipv4_input},
    {ETHERTYPE_ARP, arp_input},
    {ETHERTYPE_IPV6, NULL},
};

static void dispatch(struct packet *p, size_t which, struct bytes frame, struct bytes payload)
{
    const struct mac zero = {{0}};
    if (mac_is_group(p->from_mac) || mac_equal(p->from_mac, zero))
        drop(p, VNET_DROP_BAD_SOURCE);
    else if (!switch_learn(p))
        return;
    else if (mac_is_group(p->to_mac)) {
        switch_flood(p, frame);
        if (carried[which].router)
            carried[which].router(p, payload);
    } else if (!mac_equal(p->to_mac, p->network->router_mac))
        switch_unicast(p, frame);
    else if (carried[which].router)
        carried[which].router(p, payload);
    else
        drop(p, VNET_DROP_NO_ROUTE);
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
    for (size_t i = 0; i < sizeof carried / sizeof *carried; i++) {
        if (carried[i].ethertype == get16(header, 12)) {
            dispatch(p, i, frame, payload);
            return;
        }
    }
    drop(p, VNET_DROP_ETHERTYPE);
}

struct frame *ethernet_begin(const struct packet *p, struct mac to, unsigned ethertype, size_t n)
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

void ethernet_send(const struct packet *p, struct frame *f)
{
    if (!f->full)
        switch_send(p, f);
    pool_release(&p->v->pool, f);
}
