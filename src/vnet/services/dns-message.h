// What a DNS message looks like (RFC 1035, RFC 6891): reading a query, writing its answer.
#pragma once

#include "vnet/services/names.h"

enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
    DNS_BADVERS = 16,
};

enum { DNS_CLASS_IN = 1 };

struct dns_query {
    struct bytes header, question; // as they came; no question where it cannot be read
    struct name name;
    unsigned type, class;
    bool edns, dnssec_ok;
    size_t size_limit; // of the answer
};

// False for what deserves no answer: an answer, or less than a header. `rcode` is other than
// DNS_NOERROR where there is nothing to look up, because the query is wrong.
bool dns_read(struct bytes message, struct dns_query *q, enum dns_rcode *rcode);

enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_SECTIONS };
enum { DNS_SUFFIXES_MAX = 32 };

// An answer being written. A record that finds no room is left out, and all after it; the client is
// told to ask by TCP.
struct dns_answer {
    struct frame *f;
    const struct dns_query *q;
    uint16_t own_limit;
    size_t start, end;   // in the frame
    size_t record, data; // where the one begins that is being written
    unsigned counts[DNS_SECTIONS];
    bool truncated;
    uint16_t suffixes[DNS_SUFFIXES_MAX]; // names that others may end in, from `start`
    unsigned suffix_count;
};

// `own_limit` is what the way back carries, at least 512; the frame has room for that.
void dns_begin(struct dns_answer *a, struct frame *f, const struct dns_query *q, size_t own_limit);
// The data of a record is written between these two, by put() and dns_put_name().
void dns_begin_record(struct dns_answer *a, const struct name *owner, enum rr_type type);
void dns_put_name(struct dns_answer *a, const struct name *name);
void dns_end_record(struct dns_answer *a, enum dns_section section);
void dns_end(struct dns_answer *a, enum dns_rcode rcode, bool authoritative);
