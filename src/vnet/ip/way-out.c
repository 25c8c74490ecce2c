// The router between the lab's internet and the egress.
#include "vnet/ip/way-out.h"

#include <stdlib.h>

#include "base/mem.h"
#include "vnet/ip/icmp.h"
#include "vnet/ip/internet.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/reassembly.h"
#include "vnet/ip/uplink.h"
#include "vnet/ip/way-in.h"
#include "vnet/nat/nat.h"
#include "vnet/services/dns-relay.h"
#include "vnet/switch/ethernet.h"

// Other random streams are those of networks, by their numbers.
enum { STREAM = VNET_NETWORKS_MAX };

struct service {
    uint32_t address;
    uint16_t port;
    uint8_t protocol;
};

struct way_out {
    struct network net;
    bool open; // to all addresses
    struct service *services;
    unsigned service_count;
    struct way_in *in;
    struct relay *relay; // NULL: there is no resolver
};

void vnet_set_egress(struct vnet *v, const struct vnet_egress *is)
{
    struct way_out *out = v->way_out;
    if (!out) {
        out = v->way_out = xcalloc(1, sizeof *out);
        struct network *net = &out->net;
        net->is = (struct vnet_network){.name = "egress",
                                        .router = VNET_EGRESS_ROUTER,
                                        .prefix = 31, // without hosts
                                        .wan = VNET_EGRESS_LAB,
                                        .nat = VNET_NAT_EASY};
        net->random = random_stream(v->seed, STREAM);
        uplink_init(net);
        TAILQ_INIT(&net->plugs);
        net->nat = nat_new(v, net);
        net->reassembly = reassembly_new(net);
        out->in = way_in_new(v, net);
    }
    out->open = is->open;
    if (is->resolves && !out->relay)
        out->relay = relay_new();
    out->net.is.mtu = out->net.is.wan_mtu = is->mtu;
}

void way_out_free(struct way_out *out)
{
    if (!out)
        return;
    nat_free(out->net.nat);
    reassembly_free(out->net.reassembly);
    relay_free(out->relay);
    way_in_free(out->in);
    free(out->services);
    free(out);
}

const struct vnet_counters *vnet_egress_counters(const struct vnet *v)
{
    return &v->way_out->net.counters;
}

int vnet_add_service(struct vnet *v, uint8_t protocol, uint32_t address, uint16_t port,
                     struct err *e)
{
    struct way_out *out = v->way_out;
    if (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP)
        return err_set(e, ERR_USAGE, "a service speaks TCP or UDP");
    if (!internet_has_host4(v, address) && vnet_add_host(v, address, NULL, e) < 0)
        return -1;
    out->services = xrealloc(out->services, (out->service_count + 1) * sizeof *out->services);
    out->services[out->service_count++] = (struct service){address, port, protocol};
    return 0;
}

bool way_out_is(const struct vnet *v, const struct network *net)
{
    return v->way_out && net == &v->way_out->net;
}

bool way_out_leads_to(const struct vnet *v, uint32_t address)
{
    return v->way_out && (v->way_out->open || address == VNET_EGRESS_DNS);
}

// Later fragments have no ports. They follow the first one, see nat_out(), and where that did not
// come this way they are dropped there.
static bool is_service(const struct way_out *out, struct bytes packet)
{
    uint8_t protocol = get8(packet, IPV4_PROTOCOL);
    uint32_t to = get32(packet, IPV4_TO);
    bool later = get16(packet, IPV4_FRAGMENT) & IPV4_OFFSET;
    uint16_t port = get16(packet, 4 * (size_t)(get8(packet, 0) & 15) + 2);
    for (unsigned i = 0; i < out->service_count; i++) {
        const struct service *s = &out->services[i];
        if (s->address == to && s->protocol == protocol && (later || s->port == port))
            return true;
    }
    return false;
}

bool way_out_takes(const struct vnet *v, struct bytes packet, const struct host *host)
{
    const struct way_out *out = v->way_out;
    if (!out)
        return false;
    return host ? is_service(out, packet)
                : way_out_leads_to(v, get32(packet, IPV4_TO)) ||
                      get32(packet, IPV4_FROM) == VNET_EGRESS_ROUTER;
}

struct way_in *way_out_in(const struct vnet *v)
{
    return v->way_out ? v->way_out->in : NULL;
}

struct relay *way_out_relay(const struct vnet *v)
{
    return v->way_out ? v->way_out->relay : NULL;
}

struct network *way_out_network(const struct vnet *v)
{
    return &v->way_out->net;
}

static void hand_over(struct packet *p, struct frame *f)
{
    p->network->counters.frames_out++;
    p->network->counters.bytes_out += f->n;
    p->v->owner.egress(p->v->owner.arg, f);
}

void way_out_send(struct vnet *v, struct frame *f)
{
    struct network *net = &v->way_out->net;
    struct bytes packet = written(f, ETHERNET_HEADER);
    struct packet p = {.v = v,
                       .network = net,
                       .buffer = f,
                       .from = get32(packet, IPV4_FROM),
                       .to = get32(packet, IPV4_TO),
                       .ip = packet,
                       .dropped = -1};
    if (get8(packet, IPV4_TTL) <= 1) {
        drop(&p, VNET_DROP_TTL);
        icmp_error(&p, ICMP_TIME_EXCEEDED, 0);
    } else if (ipv4_fits(&p, f, net->is.wan_mtu)) {
        ipv4_use_up_ttl(f);
        if (p.from == VNET_EGRESS_ROUTER || nat_out(&p, f))
            ipv4_transmit(&p, f, net->is.wan_mtu, hand_over);
    }
}

static void input(struct packet *p, struct bytes frame)
{
    struct frame *f = frame.n <= VNET_FRAME_MAX ? pool_take(&p->v->pool, frame.n) : NULL;
    if (!f) {
        drop(p, frame.n <= VNET_FRAME_MAX ? VNET_DROP_NO_BUFFER : VNET_DROP_LONG_FRAME);
        return;
    }
    put(f, frame.at, frame.n);
    p->buffer = f;
    ethernet_from_uplink(p, written(f, 0));
    pool_release(&p->v->pool, f);
}

void vnet_egress_input(struct vnet *v, uint64_t now, const uint8_t *data, size_t n)
{
    struct network *net = &v->way_out->net;
    struct packet p = {.v = v, .network = net, .dropped = -1};
    const struct bytes frame = {data, n};
    if (now > v->now)
        v->now = now;
    net->counters.frames_in++;
    net->counters.bytes_in += n;
    if (get16(frame, 12) == ETHERTYPE_IPV4)
        input(&p, frame);
    else
        drop(&p, VNET_DROP_ETHERTYPE);
}
