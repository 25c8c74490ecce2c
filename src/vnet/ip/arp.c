// The router answers ARP requests for its own address, and asks for the hosts it has packets for.
// Guests answer for themselves.
#include "vnet/ip/arp.h"

#include "vnet/ip/ipv4.h"
#include "vnet/ip/neighbour.h"
#include "vnet/switch/ethernet.h"

enum { ARP_LENGTH = 28, HARDWARE_ETHERNET = 1, OP_REQUEST = 1, OP_REPLY = 2 };

static bool is_ipv4_over_ethernet(struct bytes arp)
{
    return get16(arp, 0) == HARDWARE_ETHERNET && get16(arp, 2) == ETHERTYPE_IPV4 &&
           get8(arp, 4) == sizeof(struct mac) && get8(arp, 5) == 4;
}

static void send(struct packet *p, struct mac to, unsigned op, struct mac target_mac,
                 uint32_t target)
{
    struct frame *f = ethernet_begin(p, to, ETHERTYPE_ARP, ARP_LENGTH);
    if (!f)
        return;
    put16(f, HARDWARE_ETHERNET);
    put16(f, ETHERTYPE_IPV4);
    put8(f, sizeof(struct mac));
    put8(f, 4);
    put16(f, op);
    put_mac(f, p->network->router_mac);
    put32(f, p->network->is.router);
    put_mac(f, target_mac);
    put32(f, target);
    ethernet_send(p, f);
}

void arp_solicit(struct packet *p, const struct ip6 *address, const struct mac *mac)
{
    const struct mac unknown = {{0}};
    uint32_t target = get32((struct bytes){address->octet, sizeof *address}, 12);
    send(p, mac ? *mac : mac_broadcast, OP_REQUEST, unknown, target);
}

// The answer to a probe (RFC 5227, 2.1.1), whose sender is 0.0.0.0, and to a guest that claims the
// router's address is the same: it is taken.
void arp_input(struct packet *p, struct bytes payload)
{
    const struct network *net = p->network;
    struct bytes arp;
    if (!pull(&payload, ARP_LENGTH, &arp) || !is_ipv4_over_ethernet(arp)) {
        drop(p, VNET_DROP_BAD_ARP);
        return;
    }
    unsigned op = get16(arp, 6);
    struct mac sender_mac = get_mac(arp, 8);
    uint32_t sender = get32(arp, 14);
    bool for_router = get32(arp, 24) == net->is.router;
    if (op != OP_REQUEST && op != OP_REPLY)
        return;
    // Who speaks to the router is going to hear from it; of others only what is known already is
    // brought up to date (RFC 826, "packet reception").
    if (ipv4_is_host(net, sender) && sender != net->is.router) {
        const struct ip6 address = ip6_mapped(sender);
        neighbour_learn(p->v, p->network, &address, sender_mac, !for_router);
    }
    if (op == OP_REQUEST && for_router)
        send(p, p->from_mac, OP_REPLY, sender_mac, sender);
}
