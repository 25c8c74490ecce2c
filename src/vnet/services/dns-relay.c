// A slot for each open query. Its number is in the port that the question is sent from, and its
// identifier is random: both must be in the answer (RFC 5452, 4).
#include "vnet/services/dns-relay.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/mem.h"
#include "vnet/ip/ip.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/ipv6.h"
#include "vnet/ip/udp.h"
#include "vnet/ip/way-out.h"
#include "vnet/services/dns.h"
#include "vnet/switch/ethernet.h"

enum { SLOTS = 256, QUERY_MAX = 512, FIRST_PORT = 20000, HEADER = 12 };
// Before a client asks again, mostly after 5 s.
#define PATIENCE (4 * 1000000000ull)

struct question {
    TAILQ_ENTRY(question) in_order;
    uint64_t due;
    uint16_t id; // towards the resolver
    // Who asked.
    uint64_t token;
    struct network *network;
    int plug; // -1: from the network's uplink
    struct mac mac;
    uint32_t to, from;
    struct ip6 to6, from6;
    uint16_t port;
    uint8_t version; // of IP, where a header has it
    size_t n;
    uint8_t query[QUERY_MAX];
};

TAILQ_HEAD(questions, question);

struct relay {
    struct timer timer; // of the oldest
    struct question all[SLOTS];
    struct questions open, unused;
};

static void ring(struct vnet *v, struct timer *t);

struct relay *relay_new(void)
{
    struct relay *r = xcalloc(1, sizeof *r);
    r->timer.ring = ring;
    TAILQ_INIT(&r->open);
    TAILQ_INIT(&r->unused);
    for (unsigned i = 0; i < SLOTS; i++)
        TAILQ_INSERT_TAIL(&r->unused, &r->all[i], in_order);
    return r;
}

void relay_free(struct relay *r)
{
    free(r);
}

// --- back to who asked ---

static bool is_there(const struct vnet *v, const struct question *q)
{
    return q->plug < 0 || v->plugs[q->plug].network == q->network;
}

// The packet that asked, as far as an answer depends on it.
static struct packet asker(struct vnet *v, const struct question *q)
{
    return (struct packet){.v = v,
                           .network = q->network,
                           .plug = q->plug < 0 ? NULL : &v->plugs[q->plug],
                           .from_mac = q->mac,
                           .to = q->to,
                           .from = q->from,
                           .to6 = q->to6,
                           .from6 = q->from6,
                           .from_port = q->port,
                           .ip = {&q->version, 1},
                           .dropped = -1};
}

static void answer(struct vnet *v, const struct question *q, struct bytes message)
{
    struct packet p = asker(v, q);
    if (q->token)
        v->owner.dns_answer(v->owner.arg, q->token, message.at, message.n);
    else if (is_there(v, q))
        dns_send(&p, message, (struct bytes){q->query, q->n});
}

static void close_question(struct vnet *v, struct relay *r, struct question *q)
{
    TAILQ_REMOVE(&r->open, q, in_order);
    TAILQ_INSERT_TAIL(&r->unused, q, in_order);
    if (TAILQ_EMPTY(&r->open))
        timers_cancel(&v->timers, &r->timer);
    else
        timers_set(&v->timers, &r->timer, TAILQ_FIRST(&r->open)->due);
}

static void fail(struct vnet *v, struct relay *r, struct question *q)
{
    uint8_t message[QUERY_MAX];
    size_t n = dns_servfail((struct bytes){q->query, q->n}, message, sizeof message);
    answer(v, q, (struct bytes){message, n});
    close_question(v, r, q);
}

static void ring(struct vnet *v, struct timer *t)
{
    struct relay *r = CONTAINER_OF(t, struct relay, timer);
    struct question *q;
    while ((q = TAILQ_FIRST(&r->open)) && q->due <= v->now)
        fail(v, r, q);
}

// --- to the resolver ---

static void send_question(struct vnet *v, const struct relay *r, const struct question *q)
{
    struct packet p = {.v = v, .network = way_out_network(v), .dropped = -1};
    p.ip = (struct bytes){(const uint8_t *)"\x45", 1};
    p.to = VNET_EGRESS_ROUTER;
    p.from = VNET_EGRESS_RESOLVER;
    struct frame *f = udp_begin(&p, (unsigned)(FIRST_PORT + (q - r->all)), DNS_PORT, q->n);
    if (!f)
        return; // as a lost packet
    size_t start = f->n;
    put(f, q->query, q->n);
    patch16(f, start, q->id);
    udp_send(&p, f);
}

bool relay_ask(struct packet *p, struct bytes query, uint64_t token)
{
    struct vnet *v = p->v;
    struct relay *r = way_out_relay(v);
    if (query.n > QUERY_MAX)
        return false;
    if (TAILQ_EMPTY(&r->unused))
        fail(v, r, TAILQ_FIRST(&r->open));
    struct question *q = TAILQ_FIRST(&r->unused);
    TAILQ_REMOVE(&r->unused, q, in_order);
    *q = (struct question){.due = v->now + PATIENCE,
                           .id = (uint16_t)random_next(&way_out_network(v)->random),
                           .token = token,
                           .network = p->network,
                           .plug = p->plug ? (int)plug_number(v, p->plug) : -1,
                           .mac = p->from_mac,
                           .to = p->to,
                           .from = p->from,
                           .to6 = p->to6,
                           .from6 = p->from6,
                           .port = p->from_port,
                           .version = get8(p->ip, 0),
                           .n = query.n};
    memcpy(q->query, query.at, query.n);
    TAILQ_INSERT_TAIL(&r->open, q, in_order);
    if (TAILQ_FIRST(&r->open) == q)
        timers_set(&v->timers, &r->timer, q->due);
    send_question(v, r, q);
    return true;
}

// Servers keep the case of names, or not.
static bool is_same_question(const struct question *q, struct bytes message)
{
    struct dns_query asked;
    enum dns_rcode rcode;
    const struct bytes query = {q->query, q->n};
    if (!dns_read(query, &asked, &rcode) || message.n < HEADER + asked.question.n)
        return false;
    for (size_t i = 0; i < asked.question.n; i++)
        if (tolower(message.at[HEADER + i]) != tolower(asked.question.at[i]))
            return false;
    return true;
}

static bool is_open(const struct relay *r, const struct question *q)
{
    const struct question *other;
    TAILQ_FOREACH(other, &r->open, in_order)
        if (other == q)
            return true;
    return false;
}

void relay_input(struct packet *p, unsigned from_port, unsigned to_port, struct bytes message)
{
    enum { AT_FLAGS = 2, RESPONSE = 0x8000 };
    struct relay *r = way_out_relay(p->v);
    unsigned slot = to_port - FIRST_PORT;
    struct question *q = slot < SLOTS ? &r->all[slot] : NULL;
    if (p->from != VNET_EGRESS_RESOLVER || from_port != DNS_PORT || !q || !is_open(r, q) ||
        get16(message, 0) != q->id || !(get16(message, AT_FLAGS) & RESPONSE) ||
        !is_same_question(q, message)) {
        drop(p, VNET_DROP_BAD_DNS);
        return;
    }
    uint8_t *own = (uint8_t *)(uintptr_t)message.at; // in p's buffer, which is the lab's
    memcpy(own, q->query, 2);                        // the identifier that the client chose
    answer(p->v, q, message);
    close_question(p->v, r, q);
}
