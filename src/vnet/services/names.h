// The names that a lab's DNS servers know by configuration: records, routers, nodes' IPv6
// addresses. (Nodes' and DHCP clients' IPv4 addresses are in the lease tables.)
//
// A name has records in a scope: one network's, whose router alone answers them, or everywhere's.
// Where a network has records of its own for a name, its router sees no others.
//
// All memory is taken when a record is added; a query takes none.
#pragma once

#include "vnet/services/name.h"

// RFC 1035, 3.2.2; RFC 3596; RFC 6891; RFC 8482.
enum rr_type {
    RR_NONE = 0,
    RR_A = 1,
    RR_NS = 2,
    RR_CNAME = 5,
    RR_SOA = 6,
    RR_PTR = 12,
    RR_HINFO = 13,
    RR_TXT = 16,
    RR_AAAA = 28,
    RR_OPT = 41,
    RR_IXFR = 251,
    RR_AXFR = 252,
    RR_ANY = 255,
};

struct record {
    struct record *next;         // of the same name
    struct record *next_address; // in its chain
    const struct entry *entry;
    enum rr_type type;
    uint16_t n;
    uint8_t data[]; // as in a message; a name is not compressed
};

struct entry {
    struct entry *next;
    int scope;
    struct record *records; // NULL: only names below it have some
    struct name name;
};

struct names {
    struct entry **entries;
    struct record **addresses;
    uint32_t count; // of records
};

void names_init(struct names *names);
void names_fini(struct names *names);

// With `has_pointer` the record's address leads back to its name.
int names_add(struct names *names, int scope, const struct name *name, enum rr_type type,
              struct bytes data, bool has_pointer, struct err *e);

// What a router of this network sees of a name; NULL: nothing.
const struct entry *names_find(const struct names *names, int network, const struct name *name);
bool names_has_records(const struct names *names, int network, const struct name *name);
// The first record of a type from `from` on; NULL: none.
const struct record *names_next(const struct record *from, enum rr_type type);

// The first record (from NULL) or the next one that leads an address back to a name, in the scope
// that a router of this network sees.
const struct record *names_pointer(const struct names *names, int network,
                                   const struct record *from, enum rr_type type,
                                   struct bytes address);
