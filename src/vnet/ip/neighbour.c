// A bounded table of hosts in the states of RFC 4861, 7.3.2, made simple: a host that is asked for
// the first time (incomplete), one that said its MAC (known, for 30 s beyond doubt), and one that
// is asked again because it is in use and the 30 s are over (probing).
//
// Whatever is done for a frame takes the same time in a table of ten and of a thousand: entries are
// found by hash, and lie in a queue for each state in which the one that is due first is the first.
#include "vnet/ip/neighbour.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "vnet/index.h"
#include "vnet/ip/arp.h"
#include "vnet/ip/icmp.h"
#include "vnet/ip/icmpv6.h"
#include "vnet/ip/ndp.h"
#include "vnet/switch/ethernet.h"
#include "vnet/switch/switch.h"

#define SECOND 1000000000ull
#define ASK_AGAIN SECOND        // RFC 4861, 10: RETRANS_TIMER
#define REACHABLE (30 * SECOND) // REACHABLE_TIME

enum {
    TRIES = 3,        // MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT
    FRAMES_PER = 16,  // that wait for one host: as many as traceroute sends at once
    FRAMES_MAX = 64,  // and for all of them: a scan must not take the lab's buffers
    MAPPED_IPV4 = 12, // where the IPv4 address is in one that it is mapped into
};

enum state { UNUSED, INCOMPLETE, KNOWN, PROBING, STATES };

struct neighbour {
    TAILQ_ENTRY(neighbour) same_state;
    struct indexed indexed;
    struct ip6 address;
    struct mac mac;
    enum state state;
    unsigned asked, waiting; // times, frames
    bool unused;             // known because it spoke; nobody ever spoke to it
    uint64_t due;            // known: until when beyond doubt; else when it is asked again
};

// A frame that waits for a host's answer, and whom to tell when there is none.
struct waiting {
    TAILQ_ENTRY(waiting) next;
    struct neighbour *host;
    struct frame *frame;
    struct plug *plug;
    struct mac from_mac;
};
TAILQ_HEAD(waitings, waiting);

struct neighbours {
    struct network *net;
    struct timer timer; // of the incomplete and probing
    struct neighbour *all;
    struct index index; // by address
    TAILQ_HEAD(, neighbour) queues[STATES];
    struct waiting frames[FRAMES_MAX];
    struct waitings waiting, idle;
};

// How a host is asked for, where `mac` is NULL all of them, and how a sender is told in vain.
static const struct family {
    void (*solicit)(struct packet *p, const struct ip6 *address, const struct mac *mac);
    void (*unreachable)(struct packet *p, struct bytes packet);
} families[] = {
    [false] = {.solicit = arp_solicit, .unreachable = icmp_no_neighbour},
    [true] = {.solicit = ndp_solicit, .unreachable = icmpv6_no_neighbour},
};

static const struct family *family_of(const struct ip6 *address)
{
    const struct ip6 mapped = ip6_mapped(0);
    return &families[memcmp(address, &mapped, MAPPED_IPV4) != 0];
}

static void ring(struct vnet *v, struct timer *t);

struct neighbours *neighbours_new(struct vnet *v, struct network *net)
{
    struct neighbours *ns = xcalloc(1, sizeof *ns);
    *ns = (struct neighbours){.net = net, .timer = {.ring = ring}};
    ns->all = xcalloc(v->limits.neighbours, sizeof *ns->all);
    index_init(&ns->index, v->limits.neighbours, random_next(&net->random));
    for (unsigned state = 0; state < STATES; state++)
        TAILQ_INIT(&ns->queues[state]);
    for (uint32_t i = 0; i < v->limits.neighbours; i++)
        TAILQ_INSERT_TAIL(&ns->queues[UNUSED], &ns->all[i], same_state);
    TAILQ_INIT(&ns->waiting);
    TAILQ_INIT(&ns->idle);
    for (unsigned i = 0; i < FRAMES_MAX; i++)
        TAILQ_INSERT_TAIL(&ns->idle, &ns->frames[i], next);
    return ns;
}

void neighbours_free(struct neighbours *ns)
{
    if (!ns)
        return;
    free(ns->all);
    index_fini(&ns->index);
    free(ns);
}

static struct key key_of(const struct ip6 *address)
{
    struct key key;
    static_assert(sizeof key == sizeof *address, "an address is a key");
    memcpy(&key, address, sizeof key);
    return key;
}

static struct neighbour *find(const struct neighbours *ns, const struct ip6 *address)
{
    struct indexed *found = index_find(&ns->index, key_of(address));
    return found ? CONTAINER_OF(found, struct neighbour, indexed) : NULL;
}

static void set_timer(struct vnet *v, struct neighbours *ns)
{
    const struct neighbour *one = TAILQ_FIRST(&ns->queues[INCOMPLETE]);
    const struct neighbour *other = TAILQ_FIRST(&ns->queues[PROBING]);
    if (!one || (other && other->due < one->due))
        one = other;
    if (!one)
        timers_cancel(&v->timers, &ns->timer);
    else if (ns->timer.place == 0 || ns->timer.due != one->due)
        timers_set(&v->timers, &ns->timer, one->due);
}

// The times of a state are all the same length, which keeps its queue in order.
static void enter(struct vnet *v, struct neighbours *ns, struct neighbour *n, enum state state)
{
    TAILQ_REMOVE(&ns->queues[n->state], n, same_state);
    n->state = state;
    n->due = v->now + (state == KNOWN ? REACHABLE : ASK_AGAIN);
    TAILQ_INSERT_TAIL(&ns->queues[state], n, same_state);
}

static void ask(struct vnet *v, struct neighbours *ns, struct neighbour *n, enum state state)
{
    struct packet p = {.v = v, .network = ns->net, .dropped = -1};
    const struct family *family = family_of(&n->address);
    n->asked = n->state == state ? n->asked + 1 : 1;
    enter(v, ns, n, state);
    if (family->solicit)
        family->solicit(&p, &n->address, state == PROBING ? &n->mac : NULL);
}

static void send_to(struct packet *p, const struct neighbour *n, struct frame *f)
{
    memcpy(f->data, n->mac.octet, sizeof n->mac.octet);
    memcpy(f->data + sizeof n->mac.octet, p->network->router_mac.octet, sizeof(struct mac));
    switch_send(p, f);
}

// The frame is the caller's now.
static struct frame *take(struct neighbours *ns, struct waiting *w)
{
    TAILQ_REMOVE(&ns->waiting, w, next);
    TAILQ_INSERT_TAIL(&ns->idle, w, next);
    w->host->waiting--;
    return w->frame;
}

static void give_up(struct vnet *v, struct neighbours *ns, struct waiting *w, enum vnet_drop why)
{
    const struct family *family = family_of(&w->host->address);
    struct packet p = {
        .v = v, .network = ns->net, .plug = w->plug, .from_mac = w->from_mac, .dropped = -1};
    struct frame *f = take(ns, w);
    drop(&p, why);
    if (why == VNET_DROP_NO_NEIGHBOUR && family->unreachable)
        family->unreachable(&p, written(f, ETHERNET_HEADER));
    pool_release(&v->pool, f);
}

static struct waiting *first_of(struct neighbours *ns, const struct neighbour *n)
{
    struct waiting *w = n->waiting ? TAILQ_FIRST(&ns->waiting) : NULL;
    while (w && w->host != n)
        w = TAILQ_NEXT(w, next);
    return w;
}

static void forget(struct vnet *v, struct neighbours *ns, struct neighbour *n)
{
    struct waiting *w;
    while ((w = first_of(ns, n)))
        give_up(v, ns, w, VNET_DROP_NO_NEIGHBOUR);
    index_remove(&ns->index, &n->indexed);
    n->unused = false;
    enter(v, ns, n, UNUSED);
}

// Who makes room for another; NULL: nobody. A scan of empty addresses pushes out itself, and so
// does who makes itself known under thousands of them.
static struct neighbour *least_known(const struct vnet *v, const struct neighbours *ns, bool spoke)
{
    struct neighbour *known = TAILQ_FIRST(&ns->queues[KNOWN]);
    if (spoke && known && known->unused)
        return known;
    if (!TAILQ_EMPTY(&ns->queues[INCOMPLETE]))
        return TAILQ_FIRST(&ns->queues[INCOMPLETE]);
    if (known && (known->unused || known->due <= v->now))
        return known;
    return TAILQ_FIRST(&ns->queues[PROBING]);
}

// Because it spoke, or because there is a frame for it.
static struct neighbour *add(struct vnet *v, struct neighbours *ns, const struct ip6 *address,
                             bool spoke)
{
    struct neighbour *out = TAILQ_EMPTY(&ns->queues[UNUSED]) ? least_known(v, ns, spoke) : NULL;
    if (out)
        forget(v, ns, out);
    struct neighbour *n = TAILQ_FIRST(&ns->queues[UNUSED]);
    if (!n)
        return NULL;
    n->address = *address;
    index_add(&ns->index, &n->indexed, key_of(address));
    return n;
}

// At the head of the queue, where room is made first.
static void enter_unused(struct vnet *v, struct neighbours *ns, struct neighbour *n)
{
    enter(v, ns, n, KNOWN);
    n->unused = true;
    TAILQ_REMOVE(&ns->queues[KNOWN], n, same_state);
    TAILQ_INSERT_HEAD(&ns->queues[KNOWN], n, same_state);
}

static void use(struct neighbours *ns, struct neighbour *n)
{
    if (!n->unused)
        return;
    n->unused = false;
    TAILQ_REMOVE(&ns->queues[KNOWN], n, same_state);
    TAILQ_INSERT_TAIL(&ns->queues[KNOWN], n, same_state);
}

// A newer frame is worth more than an older one (RFC 4861, 7.2.2).
static void wait_for(struct packet *p, struct neighbours *ns, struct neighbour *n, struct frame *f)
{
    if (n->waiting == FRAMES_PER)
        give_up(p->v, ns, first_of(ns, n), VNET_DROP_QUEUE_FULL);
    if (TAILQ_EMPTY(&ns->idle))
        give_up(p->v, ns, TAILQ_FIRST(&ns->waiting), VNET_DROP_QUEUE_FULL);
    struct waiting *w = TAILQ_FIRST(&ns->idle);
    TAILQ_REMOVE(&ns->idle, w, next);
    TAILQ_INSERT_TAIL(&ns->waiting, w, next);
    w->host = n;
    w->frame = f;
    w->plug = p->plug;
    w->from_mac = p->from_mac;
    n->waiting++;
    f->refs++;
}

void neighbour_send(struct packet *p, const struct ip6 *address, struct frame *f)
{
    struct neighbours *ns = p->network->neighbours;
    struct neighbour *n = find(ns, address);
    if (!n && !(n = add(p->v, ns, address, false))) {
        drop(p, VNET_DROP_NO_NEIGHBOUR);
        return;
    }
    use(ns, n);
    if (n->state == UNUSED)
        ask(p->v, ns, n, INCOMPLETE);
    else if (n->state == KNOWN && n->due <= p->v->now)
        ask(p->v, ns, n, PROBING);
    if (n->state == INCOMPLETE)
        wait_for(p, ns, n, f);
    else
        send_to(p, n, f);
    set_timer(p->v, ns);
}

static bool is_usable(const struct network *net, struct mac mac)
{
    const struct mac zero = {{0}};
    return !mac_is_group(mac) && !mac_equal(mac, zero) && !mac_equal(mac, net->router_mac);
}

void neighbour_learn(struct vnet *v, struct network *net, const struct ip6 *address, struct mac mac,
                     bool known)
{
    struct neighbours *ns = net->neighbours;
    struct neighbour *n = find(ns, address);
    if (!is_usable(net, mac) || (!n && (known || !(n = add(v, ns, address, true)))))
        return;
    n->mac = mac;
    if (n->state == UNUSED || n->unused)
        enter_unused(v, ns, n);
    else
        enter(v, ns, n, KNOWN);
    for (struct waiting *w; (w = first_of(ns, n));) {
        struct packet p = {.v = v, .network = net, .plug = w->plug, .dropped = -1};
        struct frame *f = take(ns, w);
        send_to(&p, n, f);
        pool_release(&v->pool, f);
    }
    set_timer(v, ns);
}

bool neighbour_find(const struct network *net, const struct ip6 *address, struct mac *mac)
{
    const struct neighbour *n = find(net->neighbours, address);
    if (!n || (n->state != KNOWN && n->state != PROBING))
        return false;
    *mac = n->mac;
    return true;
}

uint32_t neighbour_address(const struct network *net, struct mac mac)
{
    static const enum state known[] = {KNOWN, PROBING};
    const struct neighbour *n;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        TAILQ_FOREACH(n, &net->neighbours->queues[known[i]], same_state)
            if (mac_equal(n->mac, mac) && family_of(&n->address) == &families[false])
                return get32((struct bytes){n->address.octet, sizeof n->address}, MAPPED_IPV4);
    return 0;
}

void neighbours_forget(struct vnet *v, const struct plug *plug)
{
    struct neighbours *ns = plug->network->neighbours;
    struct waiting *next;
    for (struct waiting *w = TAILQ_FIRST(&ns->waiting); w; w = next) {
        next = TAILQ_NEXT(w, next);
        if (w->plug == plug)
            give_up(v, ns, w, VNET_DROP_LINK_DOWN);
    }
}

static void ring(struct vnet *v, struct timer *t)
{
    static const enum state asked[] = {INCOMPLETE, PROBING};
    struct neighbours *ns = CONTAINER_OF(t, struct neighbours, timer);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct neighbour *n;
        while ((n = TAILQ_FIRST(&ns->queues[asked[i]])) && n->due <= v->now) {
            if (n->asked < TRIES)
                ask(v, ns, n, n->state);
            else
                forget(v, ns, n);
        }
    }
    set_timer(v, ns);
}
