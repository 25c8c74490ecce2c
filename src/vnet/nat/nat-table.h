// What a NAT remembers. A mapping is an inside endpoint and its port at the WAN address. A session
// is a mapping's permission for a remote endpoint to answer; the mapping lives as long as it has
// one.
//
// The kind of NAT (RFC 4787, 4.1 and 5) is the parts of a remote endpoint that tell one mapping
// from another, and those that tell who may answer.
#pragma once

#include "vnet/index.h"
#include "vnet/lab.h"

enum nat_parts { NAT_NOTHING, NAT_ADDRESS, NAT_ADDRESS_AND_PORT };
struct nat_kind {
    enum nat_parts mapping, filtering;
};

struct endpoint {
    uint32_t address;
    uint16_t port; // of ICMP: a query's identifier, and a remote's is 0
};

struct mapping {
    struct indexed inside, outside; // by endpoint and by port
    SLIST_ENTRY(mapping) unused;
    struct endpoint host;
    uint8_t protocol;
    uint16_t port; // at the WAN address
    uint32_t sessions;
};

// How long sessions live after their last packet.
enum life { LIFE_UDP, LIFE_ICMP, LIFE_TCP_TRANSITORY, LIFE_TCP_ESTABLISHED, LIVES };

struct session {
    struct indexed indexed;
    TAILQ_ENTRY(session) same_life;
    struct mapping *mapping; // NULL: unused
    enum life life;
    uint64_t due;
    unsigned tcp; // what was seen of its connection
};

TAILQ_HEAD(sessions, session);

struct nat_table {
    struct network *net; // whose random numbers it takes, and who counts what is evicted
    struct nat_kind kind;
    struct mapping *all_mappings;
    struct session *all_sessions;
    struct index inside, outside, sessions;
    SLIST_HEAD(, mapping) unused_mappings;
    struct sessions unused, lives[LIVES];
};

void nat_table_init(struct nat_table *t, struct vnet *v, struct network *net, struct nat_kind kind);
void nat_table_fini(struct nat_table *t);

// Ends the sessions whose time is over. Before anything is looked up.
void nat_expire(struct nat_table *t, uint64_t now);

// The session of a packet from inside; a new one ends, where there is no room, the one that would
// end first. NULL: there is no port left.
struct session *nat_open(struct nat_table *t, uint8_t protocol, struct endpoint inside,
                         struct endpoint remote);
// The one there is; NULL: none.
struct session *nat_find_out(const struct nat_table *t, uint8_t protocol, struct endpoint inside,
                             struct endpoint remote);
struct session *nat_find_in(const struct nat_table *t, uint8_t protocol, uint16_t port,
                            struct endpoint remote);
bool nat_has_mapping(const struct nat_table *t, uint8_t protocol, uint16_t port);

// It lives anew.
void nat_keep(struct nat_table *t, struct session *s, enum life life, uint64_t now);
// The same after a segment with these flags, from inside (`out`) or to it.
void nat_keep_tcp(struct nat_table *t, struct session *s, unsigned flags, bool out, uint64_t now);
