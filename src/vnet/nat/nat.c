// Translates packets on their way out and in. Checksums are not computed anew but changed by what
// changes in the packet (RFC 1624), so that one that was wrong stays wrong.
#include "vnet/nat/nat.h"

#include <stdlib.h>

#include "base/mem.h"
#include "vnet/ip/checksum.h"
#include "vnet/ip/icmp.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/tcp.h"
#include "vnet/nat/nat-fragment.h"
#include "vnet/nat/nat-table.h"
#include "vnet/switch/ethernet.h"

struct nat {
    struct nat_table table;
    struct nat_fragments fragments;
};

// What is translated: where its ports and its checksum are.
static const struct protocol {
    uint8_t number;
    uint8_t header; // bytes, at least
    uint8_t at_from, at_to, at_sum;
    bool sums_addresses; // the checksum has the pseudo header in it
    bool may_lack_sum;
    enum vnet_drop bad;
} protocols[] = {
    {PROTOCOL_TCP, TCP_HEADER, 0, 2, 16, true, false, VNET_DROP_BAD_TCP},
    {PROTOCOL_UDP, 8, 0, 2, 6, true, true, VNET_DROP_BAD_UDP},
    {PROTOCOL_ICMP, ICMP_HEADER, 4, 4, 2, false, false, VNET_DROP_BAD_ICMP},
};

static const struct nat_kind kinds[] = {
    [VNET_NAT_EASY] = {NAT_NOTHING, NAT_ADDRESS_AND_PORT},
};

// A packet in a frame, and maybe one in another that quotes it.
struct view {
    size_t ip, at;                   // where its header and its payload begin
    const struct protocol *protocol; // NULL: one that is not translated
    struct endpoint from, to;
    struct bytes payload;
    unsigned fragment; // flags and offset
};

enum { QUOTE_LEAST = 8 }; // of a payload, in an error (RFC 792)

struct nat *nat_new(struct vnet *v, struct network *net)
{
    if (net->is.nat == VNET_NAT_NONE)
        return NULL;
    struct nat *nat = xcalloc(1, sizeof *nat);
    nat_table_init(&nat->table, v, net, kinds[net->is.nat]);
    return nat;
}

void nat_free(struct nat *nat)
{
    if (!nat)
        return;
    nat_table_fini(&nat->table);
    free(nat);
}

static const struct protocol *find_protocol(unsigned number)
{
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (protocols[i].number == number)
            return &protocols[i];
    return NULL;
}

// The ports of ICMP are the identifier, of the sender in a request and of the receiver in a reply.
static struct view look(const struct frame *f, size_t ip)
{
    struct bytes packet = written(f, ip);
    size_t header = 4 * (size_t)(get8(packet, 0) & 15);
    struct view w = {.ip = ip,
                     .at = ip + header,
                     .protocol = find_protocol(get8(packet, IPV4_PROTOCOL)),
                     .payload = written(f, ip + header),
                     .fragment = get16(packet, IPV4_FRAGMENT)};
    w.from.address = get32(packet, IPV4_FROM);
    w.to.address = get32(packet, IPV4_TO);
    if (w.protocol) {
        w.from.port = get16(w.payload, w.protocol->at_from);
        w.to.port = get16(w.payload, w.protocol->at_to);
    }
    return w;
}

static struct endpoint remote(const struct view *w, struct endpoint of)
{
    return w->protocol->number == PROTOCOL_ICMP ? (struct endpoint){of.address, 0} : of;
}

static void change_sum(struct frame *f, size_t at, bool may_lack, uint16_t old, uint16_t new)
{
    uint16_t sum = get16(written(f, 0), at);
    if (may_lack && sum == 0)
        return;
    sum = checksum_change(sum, old, new);
    patch16(f, at, may_lack && sum == 0 ? 0xffff : sum);
}

// One word of the packet, and the sums that it is in.
static void change(struct frame *f, const struct view *w, size_t at, uint16_t new, bool in_payload)
{
    const struct protocol *is = w->protocol;
    uint16_t old = get16(written(f, 0), at);
    patch16(f, at, new);
    if (!in_payload)
        change_sum(f, w->ip + IPV4_CHECKSUM, false, old, new);
    if (is && (in_payload || is->sums_addresses))
        change_sum(f, w->at + is->at_sum, is->may_lack_sum, old, new);
}

static void rewrite_address(struct frame *f, const struct view *w, enum nat_side side,
                            uint32_t address)
{
    size_t at = w->ip + (side == NAT_FROM ? IPV4_FROM : IPV4_TO);
    change(f, w, at, (uint16_t)(address >> 16), false);
    change(f, w, at + 2, (uint16_t)address, false);
}

static void rewrite(struct frame *f, const struct view *w, enum nat_side side, uint32_t address,
                    uint16_t port)
{
    rewrite_address(f, w, side, address);
    change(f, w, w->at + (side == NAT_FROM ? w->protocol->at_from : w->protocol->at_to), port,
           true);
}

void nat_rewrite(struct frame *f, enum nat_side side, uint32_t address, uint16_t port)
{
    const struct view w = look(f, ETHERNET_HEADER);
    rewrite(f, &w, side, address, port);
}

static void seal_icmp(struct frame *f, size_t at)
{
    patch16(f, at + 2, 0);
    patch16(f, at + 2, checksum_finish(checksum_add(0, written(f, at))));
}

// UDP and ICMP sessions live by what goes out (RFC 4787, REQ-6).
static void keep(struct packet *p, struct session *s, const struct view *w, bool out)
{
    struct nat_table *t = &p->network->nat->table;
    enum life life = w->protocol->number == PROTOCOL_UDP ? LIFE_UDP : LIFE_ICMP;
    if (w->protocol->number == PROTOCOL_TCP)
        nat_keep_tcp(t, s, get8(w->payload, TCP_FLAGS), out, p->v->now);
    else if (out)
        nat_keep(t, s, life, p->v->now);
}

// The packet that an error is about was sent by an inside host (`side` NAT_FROM, the error comes
// in) or to one: as the error's receiver knows it. NULL: it is of no session.
static const struct mapping *translate_quote(const struct nat *nat, struct frame *f, size_t at,
                                             enum nat_side side)
{
    const struct nat_table *t = &nat->table;
    struct view w = look(f, at);
    if (w.at - w.ip < IPV4_HEADER || w.payload.n < QUOTE_LEAST || !w.protocol ||
        (w.fragment & IPV4_OFFSET))
        return NULL;
    bool in = side == NAT_FROM;
    if (in && w.from.address != t->net->is.wan)
        return NULL;
    const struct session *s = in ? nat_find_in(t, w.protocol->number, w.from.port, remote(&w, w.to))
                                 : nat_find_out(t, w.protocol->number, w.to, remote(&w, w.from));
    if (!s)
        return NULL;
    if (in)
        rewrite(f, &w, NAT_FROM, s->mapping->host.address, s->mapping->host.port);
    else
        rewrite(f, &w, NAT_TO, t->net->is.wan, s->mapping->port);
    return s->mapping;
}

void nat_quote(const struct packet *p, struct frame *f, size_t icmp)
{
    translate_quote(p->network->nat, f, icmp + ICMP_HEADER, NAT_TO);
}

// What is sealed anew below must have been right before.
static bool is_whole_error(struct packet *p, const struct view *w)
{
    if (checksum_finish(checksum_add(0, w->payload)) == 0)
        return true;
    drop(p, VNET_DROP_BAD_ICMP);
    return false;
}

static bool error_out(struct packet *p, struct frame *f, const struct view *w)
{
    if (!is_whole_error(p, w))
        return false;
    if (!translate_quote(p->network->nat, f, w->at + ICMP_HEADER, NAT_TO)) {
        drop(p, VNET_DROP_NAT_FILTERED);
        return false;
    }
    rewrite_address(f, w, NAT_FROM, p->network->is.wan);
    seal_icmp(f, w->at);
    return true;
}

// RFC 5508, REQ-3 to REQ-5. One that is about a packet of the router's own is the router's.
static enum nat_verdict error_in(struct packet *p, struct frame *f, const struct view *w)
{
    if (!is_whole_error(p, w))
        return NAT_DROPPED;
    const struct mapping *m = translate_quote(p->network->nat, f, w->at + ICMP_HEADER, NAT_FROM);
    if (!m)
        return NAT_OURS;
    p->to = m->host.address;
    rewrite_address(f, w, NAT_TO, p->to);
    seal_icmp(f, w->at);
    return NAT_INSIDE;
}

static struct fragment_id id_of(const struct view *w, const struct frame *f)
{
    return (struct fragment_id){w->from.address, w->to.address, w->protocol->number,
                                get16(written(f, w->ip), IPV4_ID)};
}

// The later fragments of a packet follow the first.
static bool follow_first(struct packet *p, struct frame *f, const struct view *w,
                         enum nat_side side)
{
    const struct fragment_id id = id_of(w, f);
    uint32_t address = nat_fragments_find(&p->network->nat->fragments, p->v->now, &id);
    struct view header = *w;
    header.protocol = NULL;
    if (!address)
        return false;
    rewrite_address(f, &header, side, address);
    if (side == NAT_TO)
        p->to = address;
    return true;
}

static void note_first(struct packet *p, const struct fragment_id *id, const struct view *w,
                       uint32_t address)
{
    if (w->fragment & IPV4_MORE_FRAGMENTS)
        nat_fragments_add(&p->network->nat->fragments, p->v->now, id, address);
}

static bool is_whole(struct packet *p, const struct view *w)
{
    if (w->payload.n >= w->protocol->header)
        return true;
    drop(p, w->protocol->bad);
    return false;
}

static bool open_out(struct packet *p, struct frame *f, const struct view *w)
{
    struct nat_table *t = &p->network->nat->table;
    const struct fragment_id id = id_of(w, f);
    struct session *s = nat_open(t, w->protocol->number, w->from, remote(w, w->to));
    if (!s) {
        drop(p, VNET_DROP_NAT_FULL);
        return false;
    }
    keep(p, s, w, true);
    rewrite(f, w, NAT_FROM, t->net->is.wan, s->mapping->port);
    note_first(p, &id, w, t->net->is.wan);
    return true;
}

bool nat_out(struct packet *p, struct frame *f)
{
    struct view w = look(f, ETHERNET_HEADER);
    bool icmp = w.protocol && w.protocol->number == PROTOCOL_ICMP;
    nat_expire(&p->network->nat->table, p->v->now);
    if (w.protocol && (w.fragment & IPV4_OFFSET)) {
        if (follow_first(p, f, &w, NAT_FROM))
            return true;
        drop(p, VNET_DROP_FRAGMENT);
        return false;
    }
    if (!w.protocol || (icmp && !icmp_is_error(w.payload) && !icmp_is_request(w.payload))) {
        drop(p, VNET_DROP_NAT_PROTOCOL);
        return false;
    }
    if (!is_whole(p, &w))
        return false;
    return icmp && icmp_is_error(w.payload) ? error_out(p, f, &w) : open_out(p, f, &w);
}

static enum nat_verdict answer_in(struct packet *p, struct frame *f, const struct view *w)
{
    struct nat_table *t = &p->network->nat->table;
    const struct fragment_id id = id_of(w, f);
    struct session *s = nat_find_in(t, w->protocol->number, w->to.port, remote(w, w->from));
    if (!s) {
        drop(p, VNET_DROP_NAT_FILTERED);
        return NAT_DROPPED;
    }
    keep(p, s, w, false);
    p->to = s->mapping->host.address;
    rewrite(f, w, NAT_TO, p->to, s->mapping->host.port);
    note_first(p, &id, w, p->to);
    return NAT_INSIDE;
}

// A host of the LAN that speaks to a mapping of another is to that one as one of outside (RFC 4787,
// REQ-9).
static enum nat_verdict hairpin(struct packet *p, struct frame *f, const struct view *w)
{
    const struct nat *nat = p->network->nat;
    const struct fragment_id id = id_of(w, f);
    bool known = w->fragment & IPV4_OFFSET
                     ? nat_fragments_find(&nat->fragments, p->v->now, &id) != 0
                     : nat_has_mapping(&nat->table, w->protocol->number, w->to.port);
    if (!known)
        return NAT_OURS;
    return nat_out(p, f) ? NAT_INSIDE : NAT_DROPPED;
}

enum nat_verdict nat_in(struct packet *p, struct frame *f)
{
    struct view w = look(f, ETHERNET_HEADER);
    bool icmp = w.protocol && w.protocol->number == PROTOCOL_ICMP;
    bool later = w.fragment & IPV4_OFFSET;
    nat_expire(&p->network->nat->table, p->v->now);
    if (!w.protocol)
        return NAT_OURS;
    if (!later && !is_whole(p, &w))
        return NAT_DROPPED;
    if (icmp && !later && icmp_is_error(w.payload))
        return error_in(p, f, &w);
    if (icmp && !later && (icmp_is_request(w.payload) || p->plug))
        return NAT_OURS;
    if (p->plug) {
        enum nat_verdict verdict = hairpin(p, f, &w);
        if (verdict != NAT_INSIDE)
            return verdict;
        w = look(f, ETHERNET_HEADER);
    }
    if (later)
        return follow_first(p, f, &w, NAT_TO) ? NAT_INSIDE : NAT_OURS;
    return answer_in(p, f, &w);
}
