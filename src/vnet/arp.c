// The router answers ARP requests for its own address. Guests answer for themselves, and the router
// needs no cache: it only ever answers frames, so it knows the MAC.
#include "vnet/arp.h"

#include "vnet/ethernet.h"

enum { ARP_LENGTH = 28, HARDWARE_ETHERNET = 1, OP_REQUEST = 1, OP_REPLY = 2 };

static bool is_ipv4_over_ethernet(struct bytes arp)
{
    return get16(arp, 0) == HARDWARE_ETHERNET && get16(arp, 2) == ETHERTYPE_IPV4 &&
           get8(arp, 4) == sizeof(struct mac) && get8(arp, 5) == 4;
}

// The answer to a probe (RFC 5227, 2.1.1), whose sender is 0.0.0.0, and to a guest that claims the
// router's address is the same: it is taken.
static void reply(struct packet *p, struct mac sender_mac, uint32_t sender)
{
    struct frame *f = ethernet_begin(p, p->from_mac, ETHERTYPE_ARP, ARP_LENGTH);
    if (!f)
        return;
    put16(f, HARDWARE_ETHERNET);
    put16(f, ETHERTYPE_IPV4);
    put8(f, sizeof(struct mac));
    put8(f, 4);
    put16(f, OP_REPLY);
    put_mac(f, p->network->router_mac);
    put32(f, p->network->is.router);
    put_mac(f, sender_mac);
    put32(f, sender);
    ethernet_send(p, f);
}

void arp_input(struct packet *p, struct bytes payload)
{
    struct bytes arp;
    if (!pull(&payload, ARP_LENGTH, &arp) || !is_ipv4_over_ethernet(arp)) {
        drop(p, VNET_DROP_BAD_ARP);
        return;
    }
    if (get16(arp, 6) == OP_REQUEST && p->network->is.router &&
        get32(arp, 24) == p->network->is.router)
        reply(p, get_mac(arp, 8), get32(arp, 14));
}
