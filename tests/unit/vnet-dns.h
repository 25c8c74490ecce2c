// DNS messages for tests: queries, and answers as text. They lie behind a UDP header, in IPv4 or
// IPv6.
#pragma once

#include <stdio.h>

#include "vnet-lab.h"

enum { A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, HINFO = 13, TXT = 16, AAAA = 28, OPT = 41 };
enum { AXFR = 252, ANY = 255 };

static inline size_t dns_at(const struct wire *w)
{
    return w->at[14] >> 4 == 6 ? 62 : 42;
}

static inline void put_name(struct wire *w, const char *name)
{
    while (*name) {
        size_t n = strcspn(name, ".");
        w->at[w->n++] = (uint8_t)n;
        memcpy(w->at + w->n, name, n);
        w->n += n;
        name += n + (name[n] == '.');
    }
    w->at[w->n++] = 0;
}

static inline struct wire query(const char *name, unsigned type)
{
    struct wire w = {0};
    hex(&w, "1234 0100 0001 0000 0000 0000");
    put_name(&w, name);
    number(&w, type, 2);
    number(&w, 1, 2);
    return w;
}

// A name at a place of a message; returns where it ends.
static inline size_t name_at(const struct wire *w, size_t at, char *out)
{
    size_t end = 0;
    *out = 0;
    for (unsigned n; (n = number_at(w, at, 1)) != 0; at += 1 + n) {
        if (n >= 0xc0) {
            end = end ? end : at + 2;
            at = dns_at(w) + (number_at(w, at, 2) & 0x3fff);
            n = number_at(w, at, 1);
        }
        out += sprintf(out, "%.*s.", (int)n, (const char *)w->at + at + 1);
    }
    return end ? end : at + 1;
}

static inline size_t print_data(const struct wire *w, size_t at, unsigned type, size_t n, char *out)
{
    char name[300];
    if (type == CNAME || type == PTR || type == NS || type == SOA) {
        size_t end = name_at(w, at, name);
        assert_true(type == SOA ? end < at + n : end == at + n);
        return (size_t)sprintf(out, "%s", name);
    }
    size_t length = 0;
    for (size_t i = 0; i < n; i++)
        length += (size_t)sprintf(out + length, "%02x", w->at[at + i]);
    return length;
}

// All there is in an answer but its OPT record: "NAME TYPE DATA" of each record, and between the
// sections a bar.
static inline const char *printed(const struct wire *w)
{
    static char text[20000];
    char *out = text;
    char name[300];
    size_t at = name_at(w, dns_at(w) + 12, name) + 4;
    *out = 0;
    for (int section = 0; section < 3; section++) {
        out += sprintf(out, "%s", section ? "|" : "");
        for (unsigned i = number_at(w, dns_at(w) + 6 + 2 * section, 2); i > 0; i--) {
            at = name_at(w, at, name);
            unsigned type = number_at(w, at, 2);
            size_t n = number_at(w, at + 8, 2);
            if (type != OPT) {
                assert_hex(w, at + 2, "0001 00000000");
                out += sprintf(out, "%s %u ", name, type);
                out += print_data(w, at + 10, type, n, out);
                out += sprintf(out, ";");
            }
            at += 10 + n;
        }
    }
    assert_int_equal(at, w->n);
    return text;
}
