// Both ends of each packet are changed, the other one each way. Sessions are those of a NAT whose
// inside is the outside of the lab: a port of the router for each (who connects, where to), and
// the port of the lab as the remote endpoint.
#include "vnet/ip/way-in.h"

#include <stdlib.h>

#include "base/mem.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/neighbour.h"
#include "vnet/ip/tcp.h"
#include "vnet/ip/way-out.h"
#include "vnet/nat/nat-table.h"
#include "vnet/nat/nat.h"
#include "vnet/switch/ethernet.h"

enum { AT_FROM_PORT = 0, AT_TO_PORT = 2, UDP_HEADER = 8 };

struct way_in {
    struct nat_table sessions;
    struct vnet_guest guests[VNET_EGRESS_PORTS + 1]; // by port; as the last new session found them
};

struct way_in *way_in_new(struct vnet *v, struct network *way_out)
{
    const struct nat_kind kind = {NAT_ADDRESS_AND_PORT, NAT_ADDRESS_AND_PORT};
    struct way_in *w = xcalloc(1, sizeof *w);
    nat_table_init(&w->sessions, v, way_out, kind);
    return w;
}

void way_in_free(struct way_in *w)
{
    if (!w)
        return;
    nat_table_fini(&w->sessions);
    free(w);
}

static struct endpoint of_port(unsigned port)
{
    return (struct endpoint){.address = VNET_EGRESS_ROUTER, .port = (uint16_t)port};
}

static bool is_syn(struct bytes segment)
{
    return (get8(segment, TCP_FLAGS) & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static void keep(struct packet *p, struct nat_table *t, struct session *s, uint8_t protocol,
                 struct bytes payload, bool out)
{
    if (protocol == PROTOCOL_TCP)
        nat_keep_tcp(t, s, get8(payload, TCP_FLAGS), out, p->v->now);
    else
        nat_keep(t, s, LIFE_UDP, p->v->now);
}

// The packet in a frame that can be written to, a hop older, and such that it may be cut.
static struct frame *copy(struct packet *p)
{
    struct frame *f = ethernet_begin(p, mac_broadcast, ETHERTYPE_IPV4, p->ip.n);
    if (!f)
        return NULL;
    put(f, p->ip.at, p->ip.n);
    ipv4_use_up_ttl(f);
    ipv4_let_fragment(f);
    return f;
}

// --- to the guest ---

static bool find_guest(const struct vnet *v, uint8_t protocol, unsigned port,
                       struct vnet_guest *guest)
{
    return v->owner.guest && v->owner.guest(v->owner.arg, protocol, (uint16_t)port, guest) &&
           guest->network < v->network_count &&
           ipv4_is_host(&v->networks[guest->network], guest->address) &&
           guest->address != v->networks[guest->network].is.router;
}

static struct session *open_session(const struct packet *p, struct way_in *w, uint8_t protocol,
                                    struct bytes payload)
{
    const struct endpoint peer = {p->from, get16(payload, AT_FROM_PORT)};
    unsigned port = get16(payload, AT_TO_PORT);
    struct session *s = nat_find_out(&w->sessions, protocol, peer, of_port(port));
    if (s || (protocol == PROTOCOL_TCP && !is_syn(payload)) ||
        !find_guest(p->v, protocol, port, &w->guests[port]))
        return s;
    return nat_open(&w->sessions, protocol, peer, of_port(port));
}

static void to_lan(struct packet *p, struct frame *f)
{
    const struct ip6 address = ip6_mapped(p->to);
    neighbour_send(p, &address, f);
}

static bool take_in(struct packet *p, struct way_in *w, uint8_t protocol, struct bytes payload)
{
    unsigned port = get16(payload, AT_TO_PORT);
    if (port == 0 || port > VNET_EGRESS_PORTS)
        return false;
    struct session *s = open_session(p, w, protocol, payload);
    if (!s && protocol == PROTOCOL_TCP)
        return false; // which resets it
    if (!s) {
        drop(p, VNET_DROP_NO_PORT);
        return true;
    }
    keep(p, &w->sessions, s, protocol, payload, true);
    struct frame *f = copy(p);
    if (!f)
        return true;
    const struct vnet_guest *guest = &w->guests[port];
    struct network *net = &p->v->networks[guest->network];
    struct packet in = {
        .v = p->v, .network = net, .from = net->is.router, .to = guest->address, .dropped = -1};
    nat_rewrite(f, NAT_FROM, in.from, s->mapping->port);
    nat_rewrite(f, NAT_TO, in.to, guest->port);
    ipv4_transmit(&in, f, net->is.mtu, to_lan);
    pool_release(&p->v->pool, f);
    return true;
}

// --- and from it ---

// The session of a guest's packet, and the port of the lab that leads to it; NULL: none.
static struct session *find_session(const struct packet *p, const struct way_in *w,
                                    uint8_t protocol, struct bytes payload, unsigned *port)
{
    uint16_t to = get16(payload, AT_TO_PORT);
    if (!nat_has_mapping(&w->sessions, protocol, to))
        return NULL;
    for (*port = 1; *port <= VNET_EGRESS_PORTS; ++*port) {
        const struct vnet_guest *guest = &w->guests[*port];
        if (guest->address != p->from || guest->port != get16(payload, AT_FROM_PORT) ||
            &p->v->networks[guest->network] != p->network)
            continue;
        struct session *s = nat_find_in(&w->sessions, protocol, to, of_port(*port));
        if (s)
            return s;
    }
    return NULL;
}

static bool take_out(struct packet *p, struct way_in *w, uint8_t protocol, struct bytes payload)
{
    unsigned port;
    struct session *s = find_session(p, w, protocol, payload, &port);
    if (!s)
        return false;
    keep(p, &w->sessions, s, protocol, payload, false);
    struct frame *f = copy(p);
    if (!f)
        return true;
    nat_rewrite(f, NAT_FROM, VNET_EGRESS_ROUTER, (uint16_t)port);
    nat_rewrite(f, NAT_TO, s->mapping->host.address, s->mapping->host.port);
    way_out_send(p->v, f);
    pool_release(&p->v->pool, f);
    return true;
}

bool way_in_takes(struct packet *p, uint8_t protocol, struct bytes payload)
{
    struct way_in *w = way_out_in(p->v);
    size_t least = protocol == PROTOCOL_TCP ? TCP_HEADER : UDP_HEADER;
    if (!w || p->host || payload.n < least || get8(p->ip, IPV4_TTL) <= 1 ||
        (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP))
        return false;
    nat_expire(&w->sessions, p->v->now);
    if (way_out_is(p->v, p->network) && p->to == VNET_EGRESS_ROUTER)
        return take_in(p, w, protocol, payload);
    return p->plug && p->to == p->network->is.router && take_out(p, w, protocol, payload);
}
