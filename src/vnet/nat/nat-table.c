// Mappings and sessions, reserved once. Sessions of the same life lie in a queue in which the one
// that ends first is the first.
#include "vnet/nat/nat-table.h"

#include <stdlib.h>

#include "base/mem.h"
#include "vnet/ip/tcp.h"

#define SECOND 1000000000ull

enum { WELL_KNOWN = 1024, PORTS = 65536 };

// What a session has seen of its TCP connection.
enum { SYN_OUT = 1, SYN_IN = 2, FIN_OUT = 4, FIN_IN = 8, RESET = 16 };

static const uint64_t lives[LIVES] = {
    [LIFE_UDP] = 300 * SECOND,              // RFC 4787, REQ-5
    [LIFE_ICMP] = 60 * SECOND,              // RFC 5508, REQ-1
    [LIFE_TCP_TRANSITORY] = 240 * SECOND,   // RFC 5382, REQ-5
    [LIFE_TCP_ESTABLISHED] = 7440 * SECOND, // likewise
};

void nat_table_init(struct nat_table *t, struct vnet *v, struct network *net, struct nat_kind kind)
{
    uint32_t max = v->limits.mappings;
    *t = (struct nat_table){.net = net, .kind = kind};
    t->all_mappings = xcalloc(max, sizeof *t->all_mappings);
    t->all_sessions = xcalloc(max, sizeof *t->all_sessions);
    index_init(&t->inside, max, random_next(&net->random));
    index_init(&t->outside, max, random_next(&net->random));
    index_init(&t->sessions, max, random_next(&net->random));
    TAILQ_INIT(&t->unused);
    for (unsigned life = 0; life < LIVES; life++)
        TAILQ_INIT(&t->lives[life]);
    for (uint32_t i = 0; i < max; i++) {
        SLIST_INSERT_HEAD(&t->unused_mappings, &t->all_mappings[i], unused);
        TAILQ_INSERT_TAIL(&t->unused, &t->all_sessions[i], same_life);
    }
}

void nat_table_fini(struct nat_table *t)
{
    index_fini(&t->inside);
    index_fini(&t->outside);
    index_fini(&t->sessions);
    free(t->all_mappings);
    free(t->all_sessions);
}

static uint64_t parts_of(enum nat_parts parts, struct endpoint remote)
{
    static const uint64_t masks[] = {
        [NAT_NOTHING] = 0, [NAT_ADDRESS] = 0xffffffff0000, [NAT_ADDRESS_AND_PORT] = 0xffffffffffff};
    return ((uint64_t)remote.address << 16 | remote.port) & masks[parts];
}

static struct key inside_key(const struct nat_table *t, uint8_t protocol, struct endpoint inside,
                             struct endpoint remote)
{
    return (struct key){(uint64_t)protocol << 48 | (uint64_t)inside.address << 16 | inside.port,
                        parts_of(t->kind.mapping, remote)};
}

static struct key outside_key(uint8_t protocol, uint16_t port)
{
    return (struct key){protocol, port};
}

static struct key session_key(const struct nat_table *t, const struct mapping *m,
                              struct endpoint remote)
{
    return (struct key){(uint64_t)(m - t->all_mappings), parts_of(t->kind.filtering, remote)};
}

static struct session *find_session(const struct nat_table *t, const struct mapping *m,
                                    struct endpoint remote)
{
    struct indexed *found = m ? index_find(&t->sessions, session_key(t, m, remote)) : NULL;
    return found ? CONTAINER_OF(found, struct session, indexed) : NULL;
}

static struct mapping *find_inside(const struct nat_table *t, uint8_t protocol,
                                   struct endpoint inside, struct endpoint remote)
{
    struct indexed *found = index_find(&t->inside, inside_key(t, protocol, inside, remote));
    return found ? CONTAINER_OF(found, struct mapping, inside) : NULL;
}

static struct mapping *find_outside(const struct nat_table *t, uint8_t protocol, uint16_t port)
{
    struct indexed *found = index_find(&t->outside, outside_key(protocol, port));
    return found ? CONTAINER_OF(found, struct mapping, outside) : NULL;
}

struct session *nat_find_out(const struct nat_table *t, uint8_t protocol, struct endpoint inside,
                             struct endpoint remote)
{
    return find_session(t, find_inside(t, protocol, inside, remote), remote);
}

struct session *nat_find_in(const struct nat_table *t, uint8_t protocol, uint16_t port,
                            struct endpoint remote)
{
    return find_session(t, find_outside(t, protocol, port), remote);
}

bool nat_has_mapping(const struct nat_table *t, uint8_t protocol, uint16_t port)
{
    return find_outside(t, protocol, port) != NULL;
}

static void release(struct nat_table *t, struct mapping *m)
{
    if (m->sessions > 0)
        return;
    index_remove(&t->inside, &m->inside);
    index_remove(&t->outside, &m->outside);
    SLIST_INSERT_HEAD(&t->unused_mappings, m, unused);
}

static void end(struct nat_table *t, struct session *s)
{
    index_remove(&t->sessions, &s->indexed);
    TAILQ_REMOVE(&t->lives[s->life], s, same_life);
    TAILQ_INSERT_TAIL(&t->unused, s, same_life);
    s->mapping->sessions--;
    release(t, s->mapping);
    s->mapping = NULL;
}

void nat_expire(struct nat_table *t, uint64_t now)
{
    for (unsigned life = 0; life < LIVES; life++) {
        struct session *first;
        while ((first = TAILQ_FIRST(&t->lives[life])) && first->due <= now)
            end(t, first);
    }
}

static void make_room(struct nat_table *t)
{
    struct session *first = NULL;
    if (!TAILQ_EMPTY(&t->unused))
        return;
    for (unsigned life = 0; life < LIVES; life++) {
        struct session *s = TAILQ_FIRST(&t->lives[life]);
        if (s && (!first || s->due < first->due))
            first = s;
    }
    if (!first)
        return;
    end(t, first);
    t->net->counters.nat_evicted++;
}

// RFC 4787, REQ-3 and REQ-4: the port that the host has, where it is free; else another one of its
// range, well-known or not, and of its parity. 0: none is left.
static uint16_t choose_port(struct nat_table *t, uint8_t protocol, uint16_t wish)
{
    uint32_t first = wish < WELL_KNOWN ? 0 : WELL_KNOWN;
    uint32_t count = (wish < WELL_KNOWN ? WELL_KNOWN : PORTS - WELL_KNOWN) / 2;
    uint32_t port = wish;
    if (wish && !find_outside(t, protocol, wish))
        return wish;
    uint64_t start = random_below(&t->net->random, count);
    for (uint32_t i = 0; i < count; i++) {
        port = first + (uint32_t)((start + i) % count) * 2 + wish % 2;
        if (port && !find_outside(t, protocol, (uint16_t)port))
            return (uint16_t)port;
    }
    return 0;
}

static struct mapping *map(struct nat_table *t, uint8_t protocol, struct endpoint inside,
                           struct endpoint remote)
{
    struct mapping *m = SLIST_FIRST(&t->unused_mappings);
    uint16_t port = m ? choose_port(t, protocol, inside.port) : 0;
    if (!port)
        return NULL;
    SLIST_REMOVE_HEAD(&t->unused_mappings, unused);
    *m = (struct mapping){.host = inside, .protocol = protocol, .port = port};
    index_add(&t->inside, &m->inside, inside_key(t, protocol, inside, remote));
    index_add(&t->outside, &m->outside, outside_key(protocol, port));
    return m;
}

struct session *nat_open(struct nat_table *t, uint8_t protocol, struct endpoint inside,
                         struct endpoint remote)
{
    struct session *s = nat_find_out(t, protocol, inside, remote);
    if (s)
        return s;
    make_room(t);
    s = TAILQ_FIRST(&t->unused);
    struct mapping *m = find_inside(t, protocol, inside, remote);
    if (!s || (!m && !(m = map(t, protocol, inside, remote))))
        return NULL;
    TAILQ_REMOVE(&t->unused, s, same_life);
    *s = (struct session){.mapping = m};
    m->sessions++;
    index_add(&t->sessions, &s->indexed, session_key(t, m, remote));
    TAILQ_INSERT_TAIL(&t->lives[s->life], s, same_life);
    return s;
}

void nat_keep(struct nat_table *t, struct session *s, enum life life, uint64_t now)
{
    TAILQ_REMOVE(&t->lives[s->life], s, same_life);
    s->life = life;
    s->due = now + lives[life];
    TAILQ_INSERT_TAIL(&t->lives[life], s, same_life);
}

static bool is_connected(unsigned tcp)
{
    unsigned both_syns = SYN_OUT | SYN_IN;
    unsigned both_fins = FIN_OUT | FIN_IN;
    return (tcp & both_syns) == both_syns && (tcp & both_fins) != both_fins && !(tcp & RESET);
}

static void follow_tcp(struct session *s, unsigned flags, bool out)
{
    if (out && (flags & TCP_SYN) && !is_connected(s->tcp))
        s->tcp = 0; // a new connection between the same ports
    if (flags & TCP_SYN)
        s->tcp |= out ? SYN_OUT : SYN_IN;
    if (flags & TCP_FIN)
        s->tcp |= out ? FIN_OUT : FIN_IN;
    if (flags & TCP_RST)
        s->tcp |= RESET;
}

void nat_keep_tcp(struct nat_table *t, struct session *s, unsigned flags, bool out, uint64_t now)
{
    follow_tcp(s, flags, out);
    nat_keep(t, s, is_connected(s->tcp) ? LIFE_TCP_ESTABLISHED : LIFE_TCP_TRANSITORY, now);
}
