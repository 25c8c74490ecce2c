// Puts IPv6 packets for the router itself together, and cuts its own (RFC 8200, 4.5). Nobody else
// may: a packet on its way is not cut.
#include "vnet/ip/extension.h"
#include "vnet/ip/icmpv6.h"
#include "vnet/ip/ipv6.h"
#include "vnet/ip/reassembly.h"
#include "vnet/ip/uplink.h"
#include "vnet/switch/ethernet.h"

enum { FRAGMENT_HEADER = 8, OFFSET_MASK = 0xfff8, MORE = 1 };

bool ipv6_is_part(struct bytes header)
{
    return (get16(header, 2) & (OFFSET_MASK | MORE)) != 0;
}

// Its headers without the fragment's, as they will be in the whole packet. They count in the first
// fragment only, but nothing is lost by doing so in all. False: they are too long.
static bool copy_headers(const struct packet *p, const struct extensions *x, struct bytes header,
                         uint8_t out[static REASSEMBLY_HEADER_MAX])
{
    if (x->at > REASSEMBLY_HEADER_MAX)
        return false;
    memcpy(out, p->ip.at, x->at);
    out[x->next_at] = get8(header, 0);
    return true;
}

static void deliver(struct packet *p, struct frame *f)
{
    size_t at = (size_t)(p->ip.at - f->data);
    patch16(f, at + IPV6_LENGTH, (unsigned)(p->ip.n - IPV6_HEADER));
    ipv6_deliver(p);
    pool_release(&p->v->pool, f);
}

void ipv6_join(struct packet *p, const struct extensions *x, struct bytes header)
{
    uint8_t headers[REASSEMBLY_HEADER_MAX];
    unsigned offset = get16(header, 2);
    struct fragment part = {.from = p->from6,
                            .to = p->to6,
                            .id = get32(header, 4),
                            .protocol = x->next,
                            .at = offset & OFFSET_MASK,
                            .more = offset & MORE,
                            .header = {headers, x->at},
                            .payload = x->rest};
    struct bytes passed;
    if (!pull(&part.payload, FRAGMENT_HEADER, &passed) || !copy_headers(p, x, header, headers)) {
        drop(p, VNET_DROP_FRAGMENT);
        return;
    }
    if (part.more && part.payload.n % 8 != 0) {
        drop(p, VNET_DROP_FRAGMENT);
        icmpv6_error(p, ICMPV6_BAD_FIELD, IPV6_LENGTH);
        return;
    }
    struct frame *f = reassembly_add(p, &part);
    if (f)
        deliver(p, f);
}

// The router remembers no path's MTU. What came in one piece has an answer that fits the way back;
// else one that goes through the uplink has fragments that fit every way.
static size_t mtu_of_answer(const struct packet *p)
{
    if (p->plug)
        return p->network->is.mtu;
    return p->fragment ? (size_t)IPV6_MTU_LEAST : p->network->is.wan_mtu;
}

static void send_part(struct packet *p, const struct frame *whole, uint32_t id, size_t at, size_t n)
{
    struct bytes packet = written(whole, ETHERNET_HEADER);
    struct bytes payload = written(whole, ETHERNET_HEADER + IPV6_HEADER);
    const struct ip6 from = get_ip6(packet, IPV6_FROM);
    const struct ip6 to = get_ip6(packet, IPV6_TO);
    struct frame *f = ipv6_begin(p, get_mac(written(whole, 0), 0), &from, &to, PROTOCOL_FRAGMENT,
                                 get8(packet, IPV6_HOP_LIMIT), FRAGMENT_HEADER + n);
    if (!f)
        return;
    put8(f, get8(packet, IPV6_NEXT));
    put8(f, 0);
    put16(f, (unsigned)at | (at + n < payload.n ? MORE : 0));
    put32(f, id);
    put(f, payload.at + at, n);
    ipv6_finish(f);
    uplink_answer(p, f);
}

void ipv6_send(struct packet *p, struct frame *f)
{
    size_t mtu = mtu_of_answer(p);
    size_t n = written(f, ETHERNET_HEADER + IPV6_HEADER).n;
    ipv6_finish(f);
    if (IPV6_HEADER + n <= mtu || f->full) {
        uplink_answer(p, f);
        return;
    }
    uint32_t id = (uint32_t)random_next(&p->network->random);
    size_t room = (mtu - IPV6_HEADER - FRAGMENT_HEADER) / 8 * 8;
    for (size_t at = 0; at < n; at += room)
        send_part(p, f, id, at, n - at < room ? n - at : room);
    pool_release(&p->v->pool, f);
}
