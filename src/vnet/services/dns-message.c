// Reads DNS queries and writes answers with compressed names.
#include "vnet/services/dns-message.h"

enum {
    HEADER = 12,
    AT_FLAGS = 2,
    AT_QUESTIONS = 4,
    AT_ANSWERS = 6,
    AT_AUTHORITIES = 8,
    AT_ADDITIONALS = 10,
    RESPONSE = 0x8000,
    OPCODE = 0x7800,
    AUTHORITATIVE = 0x0400,
    TRUNCATED = 0x0200,
    RECURSION_DESIRED = 0x0100,
    RECURSION_AVAILABLE = 0x0080,
    CHECKING_DISABLED = 0x0010,
    RECORD_FIXED = 10,  // type, class, TTL, length
    OPT_RECORD = 11,    // without options
    DNSSEC_OK = 0x8000, // RFC 3225
    SIZE_LEAST = 512,   // RFC 1035, 4.2.1; RFC 6891, 6.2.3
    POINTER = 0xc000,
    POINTER_MAX = 0x3fff,
    TTL = 0, // what a name means, and what goes wrong, changes when the lab's owner says so
};

static enum dns_rcode read_opt(struct dns_query *q, bool is_root, struct bytes fixed)
{
    if (q->edns || !is_root)
        return DNS_FORMERR; // RFC 6891, 6.1.1
    q->edns = true;
    q->size_limit = get16(fixed, 2) > SIZE_LEAST ? get16(fixed, 2) : SIZE_LEAST;
    q->dnssec_ok = get16(fixed, 6) & DNSSEC_OK;
    return get8(fixed, 5) == 0 ? DNS_NOERROR : DNS_BADVERS;
}

// Everything behind the question is passed over, but for an OPT record among the additional ones.
static enum dns_rcode read_records(struct bytes message, size_t at, struct dns_query *q)
{
    unsigned before = get16(message, AT_ANSWERS) + get16(message, AT_AUTHORITIES);
    unsigned all = before + get16(message, AT_ADDITIONALS);
    enum dns_rcode rcode = DNS_NOERROR;
    for (unsigned i = 0; i < all; i++) {
        struct name owner;
        if (!name_read(message, &at, &owner))
            return DNS_FORMERR;
        struct bytes rest = {message.at + at, message.n - at};
        struct bytes fixed;
        struct bytes data;
        if (!pull(&rest, RECORD_FIXED, &fixed) || !pull(&rest, get16(fixed, 8), &data))
            return DNS_FORMERR;
        at = message.n - rest.n;
        if (i < before || get16(fixed, 0) != RR_OPT)
            continue;
        rcode = read_opt(q, owner.n == 1, fixed);
        if (rcode == DNS_FORMERR)
            return rcode;
    }
    return rcode;
}

static enum dns_rcode read_question(struct bytes message, struct dns_query *q)
{
    size_t at = HEADER;
    if (get16(message, AT_QUESTIONS) != 1 || !name_read(message, &at, &q->name) ||
        message.n - at < 4)
        return DNS_FORMERR;
    q->type = get16(message, at);
    q->class = get16(message, at + 2);
    at += 4;
    q->question = (struct bytes){message.at + HEADER, at - HEADER};
    return read_records(message, at, q);
}

bool dns_read(struct bytes message, struct dns_query *q, enum dns_rcode *rcode)
{
    struct bytes rest = message;
    *q = (struct dns_query){.size_limit = SIZE_LEAST};
    if (!pull(&rest, HEADER, &q->header) || (get16(message, AT_FLAGS) & RESPONSE))
        return false;
    *rcode = get16(message, AT_FLAGS) & OPCODE ? DNS_NOTIMP : read_question(message, q);
    if (*rcode == DNS_FORMERR)
        q->edns = false;
    return true;
}

static void remember(struct dns_answer *a, size_t at)
{
    if (a->suffix_count < DNS_SUFFIXES_MAX && at <= POINTER_MAX)
        a->suffixes[a->suffix_count++] = (uint16_t)at;
}

// A question's name has no pointers: there is nothing before it that they could lead to.
static void remember_question(struct dns_answer *a)
{
    for (size_t at = 0; get8(a->q->question, at) != 0; at += 1u + get8(a->q->question, at))
        remember(a, HEADER + at);
}

void dns_begin(struct dns_answer *a, struct frame *f, const struct dns_query *q, size_t own_limit)
{
    size_t limit = q->size_limit < own_limit ? q->size_limit : own_limit;
    *a = (struct dns_answer){.f = f, .q = q, .own_limit = (uint16_t)own_limit, .start = f->n};
    a->end = f->n + limit - (q->edns ? OPT_RECORD : 0);
    put_zeros(f, HEADER);
    put(f, q->question.at, q->question.n);
    remember_question(a);
}

static bool find_suffix(const struct dns_answer *a, const struct name *name, size_t *found)
{
    for (unsigned i = 0; i < a->suffix_count; i++) {
        struct name other;
        size_t at = a->suffixes[i];
        if (!name_read(written(a->f, a->start), &at, &other) || !name_equal(&other, name))
            continue;
        *found = a->suffixes[i];
        return true;
    }
    return false;
}

void dns_put_name(struct dns_answer *a, const struct name *name)
{
    struct name rest = *name;
    unsigned suffixes = a->suffix_count;
    size_t found;
    while (rest.n > 1 && !find_suffix(a, &rest, &found)) {
        size_t at = a->f->n - a->start;
        put(a->f, rest.at, 1u + rest.at[0]);
        if (suffixes < DNS_SUFFIXES_MAX && at <= POINTER_MAX)
            a->suffixes[suffixes++] = (uint16_t)at;
        rest = name_parent(&rest);
    }
    if (rest.n > 1)
        put16(a->f, (unsigned)(POINTER | found));
    else
        put8(a->f, 0);
    a->suffix_count = suffixes; // now they can be read
}

void dns_begin_record(struct dns_answer *a, const struct name *owner, enum rr_type type)
{
    a->record = a->f->n;
    dns_put_name(a, owner);
    put16(a->f, type);
    put16(a->f, DNS_CLASS_IN);
    put32(a->f, TTL);
    put16(a->f, 0); // length, see dns_end_record()
    a->data = a->f->n;
}

void dns_end_record(struct dns_answer *a, enum dns_section section)
{
    struct frame *f = a->f;
    if (!a->truncated && !f->full && f->n <= a->end) {
        patch16(f, a->data - 2, (unsigned)(f->n - a->data));
        a->counts[section]++;
        return;
    }
    a->truncated = true;
    f->n = a->record;
    f->full = false;
}

// RFC 6891, 6.1.2: of options there are none that we know.
static void put_opt(struct dns_answer *a, enum dns_rcode rcode)
{
    put8(a->f, 0);
    put16(a->f, RR_OPT);
    put16(a->f, a->own_limit);
    put8(a->f, rcode >> 4);
    put8(a->f, 0); // version
    put16(a->f, a->q->dnssec_ok ? DNSSEC_OK : 0);
    put16(a->f, 0);
}

void dns_end(struct dns_answer *a, enum dns_rcode rcode, bool authoritative)
{
    struct frame *f = a->f;
    unsigned asked = get16(a->q->header, AT_FLAGS);
    unsigned flags = RESPONSE | RECURSION_AVAILABLE | (rcode & 15) |
                     (asked & (OPCODE | RECURSION_DESIRED | CHECKING_DISABLED)) |
                     (authoritative ? AUTHORITATIVE : 0) | (a->truncated ? TRUNCATED : 0);
    if (a->q->edns)
        put_opt(a, rcode);
    patch16(f, a->start, get16(a->q->header, 0));
    patch16(f, a->start + AT_FLAGS, flags);
    patch16(f, a->start + AT_QUESTIONS, a->q->question.n > 0);
    patch16(f, a->start + AT_ANSWERS, a->counts[DNS_ANSWER]);
    patch16(f, a->start + AT_AUTHORITIES, a->counts[DNS_AUTHORITY]);
    patch16(f, a->start + AT_ADDITIONALS, a->q->edns);
}
