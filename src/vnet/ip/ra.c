// When the router advertises itself, and what it says.
#include "vnet/ip/ra.h"

#include "vnet/ip/icmpv6.h"
#include "vnet/ip/ipv6.h"
#include "vnet/ip/ndp.h"
#include "vnet/switch/ethernet.h"
#include "vnet/switch/switch.h"

#define SECOND 1000000000ull

// RFC 4861, 6.2.1 and 10; ns.
#define INTERVAL_MIN (198 * SECOND)
#define INTERVAL_MAX (600 * SECOND)
#define BETWEEN_MIN (3 * SECOND) // MIN_DELAY_BETWEEN_RAS
#define ANSWER_MAX (SECOND / 2)  // MAX_RA_DELAY_TIME

// The first few come quickly, all of them in less than MAX_INITIAL_RTR_ADVERT_INTERVAL, 16 s.
#define INITIAL_MAX (5 * SECOND)

enum { INITIAL = 3, ANSWERS_MAX = 64, AT_OPTIONS = 8 };

// Seconds. The router's is 3 times the longest interval (6.2.1), and so is that of the name server
// (RFC 8106, 5.1). Those of addresses are radvd's, which guests meet most: with the 30 and 7 days
// of RFC 4861 a guest would keep what a lab once said for longer than any lab lasts.
enum { ROUTER_LIFETIME = 1800, VALID_LIFETIME = 86400, PREFERRED_LIFETIME = 14400 };

enum { FLAG_MANAGED = 0x80, FLAG_OTHER = 0x40, FLAG_ON_LINK = 0x80, FLAG_AUTONOMOUS = 0x40 };
enum { OPTION_PREFIX = 3, OPTION_MTU = 5, OPTION_DNS_SERVER = 25, OPTION_DOMAIN = 31 };
enum { MESSAGE_MAX = 352 }; // with the longest domain

static void put_prefix(struct frame *f, const struct network *net)
{
    put8(f, OPTION_PREFIX);
    put8(f, 4);
    put8(f, net->is.prefix6);
    put8(f, FLAG_ON_LINK | FLAG_AUTONOMOUS);
    put32(f, VALID_LIFETIME);
    put32(f, PREFERRED_LIFETIME);
    put32(f, 0);
    put(f, &net->is.router6, net->is.prefix6 / 8);
    put_zeros(f, sizeof(struct ip6) - net->is.prefix6 / 8);
}

static void put_mtu(struct frame *f, const struct network *net)
{
    put8(f, OPTION_MTU);
    put8(f, 1);
    put16(f, 0);
    put32(f, net->is.mtu);
}

// The global address: not every resolver knows the link of fe80::1.
static void put_dns_server(struct frame *f, const struct network *net)
{
    put8(f, OPTION_DNS_SERVER);
    put8(f, 3);
    put16(f, 0);
    put32(f, ROUTER_LIFETIME);
    put(f, &net->is.router6, sizeof net->is.router6);
}

// Filled up with zeros.
static void put_domain(struct frame *f, const struct name *zone)
{
    unsigned units = 1 + (zone->n + 7u) / 8;
    put8(f, OPTION_DOMAIN);
    put8(f, units);
    put16(f, 0);
    put32(f, ROUTER_LIFETIME);
    put(f, zone->at, zone->n);
    put_zeros(f, 8 * (units - 1) - zone->n);
}

static struct frame *advertisement(struct packet *p, const struct ip6 *to, struct mac to_mac)
{
    const struct network *net = p->network;
    struct frame *f = icmpv6_begin(p, to_mac, &ip6_router, to, ICMPV6_ROUTER_ADVERTISEMENT,
                                   NDP_HOP_LIMIT, MESSAGE_MAX);
    if (!f)
        return NULL;
    put8(f, IPV6_HOPS);
    put8(f, (net->is.ra_managed ? FLAG_MANAGED : 0) | (net->is.ra_other ? FLAG_OTHER : 0));
    put16(f, ROUTER_LIFETIME);
    put32(f, 0); // reachable time and
    put32(f, 0); // retransmission timer: the guests' own
    ndp_put_mac(f, NDP_SOURCE_MAC, net->router_mac);
    put_prefix(f, net);
    put_mtu(f, net);
    put_dns_server(f, net);
    if (net->domain)
        put_domain(f, &net->zone);
    icmpv6_finish(f);
    return f;
}

static uint64_t interval(struct network *net)
{
    if (net->ra.initial > 0)
        return BETWEEN_MIN + random_below(&net->random, INITIAL_MAX - BETWEEN_MIN);
    if (net->is.ra_seconds > 0)
        return net->is.ra_seconds * SECOND;
    return INTERVAL_MIN + random_below(&net->random, INTERVAL_MAX - INTERVAL_MIN);
}

// A lab that stood still for long sends one, not all that it missed.
static void ring(struct vnet *v, struct timer *t)
{
    struct ra *ra = CONTAINER_OF(t, struct ra, timer);
    struct network *net = CONTAINER_OF(ra, struct network, ra);
    struct packet p = {.v = v, .network = net, .dropped = -1};
    struct frame *f = advertisement(&p, &ip6_all_nodes, ip6_group_mac(&ip6_all_nodes));
    if (f)
        ethernet_send(&p, f);
    ra->sent = v->now;
    ra->has_sent = true;
    if (ra->initial > 0)
        ra->initial--;
    uint64_t next = interval(net);
    timers_set(&v->timers, t, (v->now + next > v->until ? v->now : v->until) + next);
}

static void answer_out(struct vnet *v, struct link *l, struct frame *f)
{
    struct ra *ra = CONTAINER_OF(l, struct ra, answers);
    struct packet p = {.v = v, .network = CONTAINER_OF(ra, struct network, ra), .dropped = -1};
    switch_send(&p, f);
}

void ra_init(struct network *net)
{
    net->ra = (struct ra){.timer = {.ring = ring}};
    link_init(&net->ra.answers, &(struct vnet_link){.queue = ANSWERS_MAX}, answer_out);
}

void ra_start(struct vnet *v, struct network *net)
{
    if (!net->is.prefix6)
        return;
    net->ra.initial = INITIAL;
    net->ra.has_sent = false;
    timers_set(&v->timers, &net->ra.timer, v->now + random_below(&net->random, ANSWER_MAX));
}

void ra_stop(struct vnet *v, struct network *net)
{
    timers_cancel(&v->timers, &net->ra.timer);
    link_clear(v, &net->ra.answers);
}

// The next one for all comes earlier, but not too early after the last (RFC 4861, 6.2.6).
static void answer_all(struct packet *p, uint64_t delay)
{
    struct ra *ra = &p->network->ra;
    uint64_t from = p->v->now;
    if (ra->has_sent && from < ra->sent + BETWEEN_MIN)
        from = ra->sent + BETWEEN_MIN;
    if (ra->timer.due > from + delay)
        timers_set(&p->v->timers, &ra->timer, from + delay);
}

static void answer_one(struct packet *p, struct mac mac, uint64_t delay)
{
    struct link *answers = &p->network->ra.answers;
    struct frame *f = advertisement(p, &p->from6, mac);
    if (!f)
        return;
    answers->is.delay = delay;
    int dropped = link_send(p->v, answers, f);
    if (dropped >= 0)
        drop(p, (enum vnet_drop)dropped);
    pool_release(&p->v->pool, f);
}

void ra_solicited(struct packet *p, struct bytes message)
{
    struct bytes fixed;
    uint64_t delay = random_below(&p->network->random, ANSWER_MAX);
    pull(&message, AT_OPTIONS, &fixed);
    if (ip6_equal(&p->from6, &ip6_none))
        answer_all(p, delay);
    else
        answer_one(p, ndp_learn_source(p, message), delay);
}
