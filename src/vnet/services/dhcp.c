// Decides what a DHCP client is told, and how the answer reaches it.
//
// A client asks for an address with DISCOVER, which is held for it while it considers the OFFER,
// and takes it with REQUEST. It also sends REQUEST when it boots with an address it remembers
// (INIT-REBOOT) and to go on using the one it has (RENEWING, REBINDING); these two look alike to
// the server: an address and no server's name (RFC 2131, 4.3.2).
#include "vnet/services/dhcp.h"

#include "vnet/ip/ipv4.h"
#include "vnet/ip/udp.h"
#include "vnet/services/dhcp-message.h"
#include "vnet/services/nodes.h"
#include "vnet/switch/ethernet.h"

#define SECOND 1000000000u

enum {
    OFFER_SECONDS = 30,    // an address is held for a client that may choose another server
    DECLINE_SECONDS = 600, // and kept from all when somebody uses it who did not ask
};

// RFC 2131, 4.1. A relay has the MAC that its message came from.
static void send_answer(struct packet *p, const struct dhcp_query *q, const struct dhcp_reply *r)
{
    uint32_t to = q->client_address ? q->client_address : r->address;
    struct mac to_mac = q->client.mac;
    if (q->relay) {
        to = q->relay;
        to_mac = p->from_mac;
    } else if (r->type == DHCP_NAK || (q->broadcast && !q->client_address)) {
        to = IPV4_BROADCAST;
        to_mac = mac_broadcast;
    }
    struct frame *f =
        udp_begin_to(p, to_mac, to, DHCP_SERVER_PORT,
                     q->relay ? DHCP_SERVER_PORT : DHCP_CLIENT_PORT, dhcp_room(q, p->network));
    if (!f)
        return;
    dhcp_write(f, q, p->network, r);
    udp_send(p, f);
}

static void refuse(struct packet *p, const struct dhcp_query *q, const char *why)
{
    send_answer(p, q, &(struct dhcp_reply){.type = DHCP_NAK, .message = why});
}

static uint64_t after(struct packet *p, uint64_t seconds)
{
    return p->v->now + seconds * SECOND;
}

static void on_discover(struct packet *p, const struct dhcp_query *q)
{
    struct leases *l = &p->network->leases;
    uint32_t address = leases_choose(l, p->v->now, &q->client, q->requested);
    if (address && leases_offer(l, p->v->now, &q->client, address, after(p, OFFER_SECONDS)))
        send_answer(p, q,
                    &(struct dhcp_reply){DHCP_OFFER, address, p->network->is.lease_seconds, NULL});
    else
        drop(p, VNET_DROP_NO_ADDRESS);
}

static void grant(struct packet *p, const struct dhcp_query *q, uint32_t address)
{
    uint32_t seconds = p->network->is.lease_seconds;
    if (leases_grant(&p->network->leases, p->v->now, &q->client, address, after(p, seconds)))
        send_answer(p, q, &(struct dhcp_reply){DHCP_ACK, address, seconds, NULL});
    else
        refuse(p, q, "the address is another's");
}

// The client answers an offer. One that was held for it, or that this server has forgotten and is
// still free, is granted.
static void on_selecting(struct packet *p, const struct dhcp_query *q)
{
    struct leases *l = &p->network->leases;
    uint32_t known = leases_known(l, p->v->now, &q->client);
    if (q->server != p->network->is.router)
        leases_release(l, p->v->now, &q->client, known); // it chose another server
    else if (q->requested == 0)
        drop(p, VNET_DROP_BAD_DHCP);
    else if (known && known != q->requested)
        refuse(p, q, "the client was offered another address");
    else
        grant(p, q, q->requested);
}

static void on_request(struct packet *p, const struct dhcp_query *q)
{
    uint32_t address = q->client_address ? q->client_address : q->requested;
    if (q->server) {
        on_selecting(p, q);
        return;
    }
    uint32_t known = leases_known(&p->network->leases, p->v->now, &q->client);
    if (address == 0)
        drop(p, VNET_DROP_BAD_DHCP);
    else if (known == address)
        grant(p, q, address);
    else if (known)
        refuse(p, q, "the client has another address");
    else if (!ipv4_is_host(p->network, address))
        refuse(p, q, "the address is another network's");
    // Else another server may know the client: silence.
}

static void on_decline(struct packet *p, const struct dhcp_query *q)
{
    leases_decline(&p->network->leases, p->v->now, &q->client, q->requested,
                   after(p, DECLINE_SECONDS));
}

static void on_release(struct packet *p, const struct dhcp_query *q)
{
    leases_release(&p->network->leases, p->v->now, &q->client, q->client_address);
}

// The client has an address by other means and wants the rest.
static void on_inform(struct packet *p, const struct dhcp_query *q)
{
    if (q->client_address)
        send_answer(p, q, &(struct dhcp_reply){.type = DHCP_ACK});
    else
        drop(p, VNET_DROP_BAD_DHCP);
}

static void (*const handlers[])(struct packet *p, const struct dhcp_query *q) = {
    [DHCP_DISCOVER] = on_discover, [DHCP_REQUEST] = on_request, [DHCP_DECLINE] = on_decline,
    [DHCP_RELEASE] = on_release,   [DHCP_INFORM] = on_inform,
};

// A guest that speaks for another one's MAC could release or decline its address. A relay's clients
// are on no plug of this network.
static bool is_anothers(const struct packet *p, struct mac mac)
{
    const struct owners *owners = &p->v->owners;
    const struct owner *owner = owners_find(owners, (unsigned)(p->network - p->v->networks), mac);
    return owner && owners_plug(owners, owner) != plug_number(p->v, p->plug);
}

// A relay of another network would need a pool of its addresses and a route to it.
void dhcp_input(struct packet *p, struct bytes message)
{
    struct dhcp_query q;
    if (!dhcp_read(message, &q) || q.type >= sizeof handlers / sizeof *handlers ||
        !handlers[q.type])
        drop(p, VNET_DROP_BAD_DHCP);
    else if (q.relay && !ipv4_is_host(p->network, q.relay))
        drop(p, VNET_DROP_NO_ROUTE);
    else if (is_anothers(p, q.client.mac))
        drop(p, VNET_DROP_STOLEN_MAC);
    else {
        q.client.plug = plug_number(p->v, p->plug);
        nodes_check_host(p->v, p->network, &q.client);
        handlers[q.type](p, &q);
    }
}
