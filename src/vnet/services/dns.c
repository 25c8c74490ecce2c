// What a router's DNS server answers: it looks names up among the lab's (names.h, nodes.h) and
// follows aliases. To its clients it is their resolver (RA), for all names there are.
//
// Nothing is to be cached: all times to live are 0.
#include "vnet/services/dns.h"

#include <assert.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "vnet/ip/ip.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/ipv6.h"
#include "vnet/ip/udp.h"
#include "vnet/ip/way-out.h"
#include "vnet/services/dns-message.h"
#include "vnet/services/dns-relay.h"
#include "vnet/services/nodes.h"
#include "vnet/services/reverse.h"

enum { ALIASES_MAX = 16, MESSAGE_MAX = 65535 };

static const struct {
    const char *name;
    enum dns_rcode rcode;
} faults[] = {
    [VNET_DNS_OK] = {"ok", DNS_NOERROR},
    [VNET_DNS_SILENT] = {"silent", DNS_NOERROR},
    [VNET_DNS_SERVFAIL] = {"servfail", DNS_SERVFAIL},
    [VNET_DNS_REFUSED] = {"refused", DNS_REFUSED},
    [VNET_DNS_NXDOMAIN] = {"nxdomain", DNS_NXDOMAIN},
    [VNET_DNS_TRUNCATED] = {"truncated", DNS_NOERROR},
};
static_assert(sizeof faults / sizeof *faults == VNET_DNS_FAULT_COUNT, "every fault is here");

const char *vnet_dns_fault_name(enum vnet_dns_fault fault)
{
    return faults[fault].name;
}

void vnet_set_dns_fault(struct vnet *v, unsigned network, enum vnet_dns_fault fault)
{
    assert(network < v->network_count);
    v->networks[network].dns_fault = fault;
}

// One query and its answer, so far.
struct lookup {
    const struct vnet *v;
    const struct network *net; // whose server was asked
    unsigned network;
    unsigned type;
    struct dns_answer *a;
    bool by_tcp;
};

static void put_bytes(struct lookup *l, const struct name *owner, enum rr_type type,
                      const void *data, size_t n)
{
    dns_begin_record(l->a, owner, type);
    put(l->a->f, data, n);
    dns_end_record(l->a, DNS_ANSWER);
}

static void put_target(struct lookup *l, const struct name *owner, enum rr_type type,
                       const struct name *target)
{
    dns_begin_record(l->a, owner, type);
    dns_put_name(l->a, target);
    dns_end_record(l->a, DNS_ANSWER);
}

// A name in the zone.
static struct name in_zone(const char *label, const struct name *zone)
{
    struct name name = {0};
    size_t n = strlen(label);
    name.at[0] = (uint8_t)n;
    memcpy(name.at + 1, label, n);
    memcpy(name.at + 1 + n, zone->at, zone->n);
    name.n = (uint8_t)(1 + n + zone->n);
    return name;
}

// RFC 1035, 3.3.13. Its last number is how long "there is none" holds (RFC 2308, 4).
static void put_soa(struct lookup *l, const struct name *zone, enum dns_section section)
{
    const uint32_t times[] = {1, 3600, 600, 86400, 0}; // serial, refresh, retry, expire, minimum
    const struct name server = in_zone("router", zone);
    const struct name person = in_zone("root", zone);
    dns_begin_record(l->a, zone, RR_SOA);
    dns_put_name(l->a, &server);
    dns_put_name(l->a, &person);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        put32(l->a->f, times[i]);
    dns_end_record(l->a, section);
}

static const struct name root = {.n = 1};

// The network's domain, or the root, which is everything else's.
static const struct name *zone_of(const struct lookup *l, const struct name *name)
{
    return name_is_in(name, &l->net->zone) ? &l->net->zone : &root;
}

static void look_up_zone(struct lookup *l, const struct name *zone)
{
    if (l->type == RR_SOA)
        put_soa(l, zone, DNS_ANSWER);
    if (l->type == RR_NS) {
        const struct name server = in_zone("router", zone);
        put_target(l, zone, RR_NS, &server);
    }
}

static bool look_up_address(struct lookup *l, const struct name *name)
{
    struct reverse address;
    struct name host;
    if (!reverse_read(name, &address))
        return false;
    const struct bytes octets = {address.octet, address.n};
    bool found =
        address.type == RR_A && nodes_by_address(l->v, l->network, get32(octets, 0), &host);
    if (found && l->type == RR_PTR)
        put_target(l, name, RR_PTR, &host);
    const struct record *r = NULL;
    while ((r = names_pointer(&l->v->names, (int)l->network, r, address.type, octets))) {
        found = true;
        if (l->type == RR_PTR)
            put_target(l, name, RR_PTR, &r->entry->name);
    }
    return found || address.type == RR_NONE;
}

static bool look_up_node(struct lookup *l, const struct name *name, bool has_a)
{
    const struct lease *node = nodes_by_name(l->v, l->network, name);
    if (!node || !node->is.address || has_a || l->type != RR_A)
        return node != NULL;
    const uint32_t a = node->is.address;
    put_bytes(l, name, RR_A,
              (uint8_t[]){(uint8_t)(a >> 24), (uint8_t)(a >> 16), (uint8_t)(a >> 8), (uint8_t)a},
              4);
    return true;
}

// Answers with what there is of the type; returns whether the name has anything, of whatever type.
static bool look_up(struct lookup *l, const struct name *name, const struct entry *entry)
{
    const struct record *records = entry ? entry->records : NULL;
    const struct record *r = names_next(records, (enum rr_type)l->type);
    for (; r; r = names_next(r->next, (enum rr_type)l->type))
        put_bytes(l, name, r->type, r->data, r->n);
    bool is_zone = name_equal(name, zone_of(l, name));
    if (is_zone)
        look_up_zone(l, name);
    bool is_node = look_up_node(l, name, names_next(records, RR_A));
    bool is_address = look_up_address(l, name);
    return entry || is_zone || is_node || is_address;
}

// "Any" is answered with something, not everything (RFC 8482, 4.2).
static void put_any(struct lookup *l, const struct name *name)
{
    static const uint8_t hinfo[] = "\7RFC8482"; // with an empty operating system
    put_bytes(l, name, RR_HINFO, hinfo, sizeof hinfo);
}

static void put_negative(struct lookup *l, const struct name *name)
{
    put_soa(l, zone_of(l, name), DNS_AUTHORITY);
}

// RFC 1034, 4.3.2; the code is the last name's (RFC 6604, 3).
static enum dns_rcode resolve(struct lookup *l, struct name name)
{
    for (int aliases = 0; aliases <= ALIASES_MAX; aliases++) {
        const struct entry *entry = names_find(&l->v->names, (int)l->network, &name);
        const struct record *alias = names_next(entry ? entry->records : NULL, RR_CNAME);
        if (alias && l->type != RR_CNAME) {
            struct name target = {.n = (uint8_t)alias->n};
            memcpy(target.at, alias->data, alias->n);
            put_target(l, &name, RR_CNAME, &target);
            name = target;
            continue;
        }
        unsigned before = l->a->counts[DNS_ANSWER];
        bool exists = look_up(l, &name, entry);
        if (exists && l->type == RR_ANY)
            put_any(l, &name);
        if (l->a->counts[DNS_ANSWER] == before && !l->a->truncated)
            put_negative(l, &name);
        return exists ? DNS_NOERROR : DNS_NXDOMAIN;
    }
    return DNS_SERVFAIL;
}

static enum dns_rcode answer(struct lookup *l, const struct dns_query *q)
{
    enum vnet_dns_fault fault = l->net->dns_fault;
    bool is_transfer = q->type == RR_AXFR || q->type == RR_IXFR;
    if (q->class != DNS_CLASS_IN || is_transfer)
        return DNS_REFUSED;
    if (q->type == RR_OPT)
        return DNS_FORMERR;
    if (fault == VNET_DNS_OK || (fault == VNET_DNS_TRUNCATED && l->by_tcp))
        return resolve(l, q->name);
    if (fault == VNET_DNS_NXDOMAIN)
        put_negative(l, &q->name);
    l->a->truncated = fault == VNET_DNS_TRUNCATED;
    return faults[fault].rcode;
}

// The largest message that needs no fragments on its way back.
static size_t path_limit(const struct packet *p)
{
    const struct vnet_network *is = &p->network->is;
    size_t mtu = p->plug ? is->mtu : is->wan_mtu;
    return mtu - (ip_is6(p) ? IPV6_HEADER : IPV4_HEADER) - UDP_HEADER;
}

// A name that is none of the lab's: neither a bare one nor one in a network's domain.
static bool is_elsewhere(const struct vnet *v, const struct name *name)
{
    if (!way_out_relay(v) || name->n <= 2 + name->at[0])
        return false;
    for (unsigned i = 0; i < v->network_count; i++)
        if (v->networks[i].zone.n > root.n && name_is_in(name, &v->networks[i].zone))
            return false;
    return true;
}

// Writes the answer; false: somebody else is to be asked.
static bool write_answer(struct lookup *l, struct frame *f, const struct dns_query *q, size_t limit,
                         enum dns_rcode rcode)
{
    dns_begin(l->a, f, q, limit);
    if (rcode == DNS_NOERROR)
        rcode = answer(l, q);
    if (rcode == DNS_NXDOMAIN && l->net->dns_fault == VNET_DNS_OK &&
        l->a->counts[DNS_ANSWER] == 0 && is_elsewhere(l->v, &q->name))
        return false;
    dns_end(l->a, rcode, rcode == DNS_NOERROR || rcode == DNS_NXDOMAIN);
    return true;
}

static void put_failure(struct frame *f, const struct dns_query *q)
{
    struct dns_answer a;
    dns_begin(&a, f, q, q->size_limit);
    dns_end(&a, DNS_SERVFAIL, false);
}

size_t dns_servfail(struct bytes query, uint8_t *out, size_t room)
{
    struct frame f = {.data = out, .size = room};
    struct dns_query q;
    enum dns_rcode rcode;
    if (dns_read(query, &q, &rcode))
        put_failure(&f, &q);
    return f.n;
}

void dns_send(struct packet *p, struct bytes message, struct bytes query)
{
    struct dns_query q;
    struct dns_answer a;
    enum dns_rcode rcode;
    dns_read(query, &q, &rcode);
    size_t limit = q.size_limit < path_limit(p) ? q.size_limit : path_limit(p);
    struct frame *f = udp_begin(p, DNS_PORT, p->from_port, limit);
    if (!f)
        return;
    if (message.n <= limit) {
        put(f, message.at, message.n);
    } else {
        dns_begin(&a, f, &q, limit);
        a.truncated = true;
        dns_end(&a, DNS_NOERROR, false);
    }
    udp_send(p, f);
}

static bool is_silent(struct packet *p)
{
    if (p->network->dns_fault != VNET_DNS_SILENT)
        return false;
    drop(p, VNET_DROP_DNS_FAULT);
    return true;
}

static struct lookup lookup_for(const struct packet *p, const struct dns_query *q,
                                struct dns_answer *a)
{
    return (struct lookup){p->v, p->network, (unsigned)(p->network - p->v->networks), q->type, a};
}

void dns_input(struct packet *p, struct bytes message)
{
    struct dns_query q;
    struct dns_answer a;
    enum dns_rcode rcode;
    if (!ip_is_own(p))
        return; // by broadcast, it may be meant for another server
    if (p->from_port == 0 || !dns_read(message, &q, &rcode)) {
        drop(p, VNET_DROP_BAD_DNS);
        return;
    }
    if (is_silent(p))
        return;
    struct frame *f = udp_begin(p, DNS_PORT, p->from_port, path_limit(p));
    if (!f)
        return;
    struct lookup l = lookup_for(p, &q, &a);
    size_t start = f->n;
    if (!write_answer(&l, f, &q, path_limit(p), rcode)) {
        if (relay_ask(p, message, 0)) {
            pool_release(&p->v->pool, f);
            return;
        }
        f->n = start;
        put_failure(f, &q);
    }
    udp_send(p, f);
}

void vnet_dns_query(struct vnet *v, uint64_t now, unsigned network, uint64_t token,
                    const uint8_t *query, size_t n)
{
    struct packet p = {.v = v, .network = &v->networks[network], .dropped = -1};
    const struct bytes message = {query, n};
    struct dns_query q;
    struct dns_answer a;
    enum dns_rcode rcode;
    if (now > v->now)
        v->now = now;
    if (!dns_read(message, &q, &rcode) || is_silent(&p))
        return;
    AUTO_FREE uint8_t *data = xcalloc(1, MESSAGE_MAX);
    struct frame f = {.data = data, .size = MESSAGE_MAX};
    struct lookup l = lookup_for(&p, &q, &a);
    l.by_tcp = true;
    q.size_limit = MESSAGE_MAX;
    if (!write_answer(&l, &f, &q, MESSAGE_MAX, rcode)) {
        if (relay_ask(&p, message, token))
            return;
        f.n = 0;
        put_failure(&f, &q);
    }
    v->owner.dns_answer(v->owner.arg, token, data, f.n);
}
