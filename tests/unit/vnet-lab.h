// A lab for tests: plugs 0, 1, 2 in "home" (192.168.0.1/24), plug 3 in "office" (10.2.0.1/16); what
// comes out is kept. And packets, built by code that shares nothing with the one under test.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vnet/vnet.h"

#define HOME 0xc0a80001u
#define OFFICE 0x0a020001u
#define MAC_A "52cccccccc01"
#define MAC_B "52cccccccc02"
#define MAC_C "52cccccccc03"
#define MAC_X "020000000001"
#define MAC_ROUTER "52eeeeeeee01"
#define MAC_OFFICE "52eeeeeeee02" // the router of "office"
#define MAC_ALL "ffffffffffff"
#define NODE_A (HOME + 100)
#define NODE_B (HOME + 101)
#define NODE_C (OFFICE + 102)
#define SECOND 1000000000u

enum { LAB_OUT = 80, LAB_EGRESS = 8 };

struct wire {
    size_t n;
    uint8_t at[VNET_FRAME_MAX + 1];
};

struct lab {
    struct vnet *v;
    uint64_t now;
    unsigned count; // frames that came out
    struct {
        unsigned plug;
        struct wire frame;
    } out[LAB_OUT];
    unsigned egress_count; // frames for the egress
    struct wire egress[LAB_EGRESS];
};

static inline void lab_output(void *arg, unsigned plug, struct frame *f)
{
    size_t n = vnet_frame_size(f);
    struct lab *lab = arg;
    assert_in_range(lab->count, 0, LAB_OUT - 1);
    lab->out[lab->count].plug = plug;
    lab->out[lab->count].frame.n = n;
    memcpy(lab->out[lab->count++].frame.at, vnet_frame_data(f), n);
}

static inline void lab_egress(void *arg, struct frame *f)
{
    struct lab *lab = arg;
    assert_in_range(lab->egress_count, 0, LAB_EGRESS - 1);
    struct wire *w = &lab->egress[lab->egress_count++];
    w->n = vnet_frame_size(f);
    memcpy(w->at, vnet_frame_data(f), w->n);
}

// Port N of the lab leads to port 80 of the guest .100+N of "home"; no other does.
static inline bool lab_guest(void *arg, uint8_t protocol, uint16_t port, struct vnet_guest *out)
{
    (void)arg;
    (void)protocol;
    *out = (struct vnet_guest){.network = 0, .address = HOME + 99 + port, .port = 80};
    return port <= 2;
}

static inline void lab_limited(struct lab *lab, const struct vnet_limits *limits)
{
    const struct vnet_network networks[] = {
        {.name = "home",
         .router = HOME,
         .prefix = 24,
         .mtu = 1500,
         .lease_seconds = 3600,
         .domain = "lab.test"},
        {.name = "office", .router = OFFICE, .prefix = 16, .mtu = 1400, .lease_seconds = 60},
    };
    struct err e;
    lab->now = SECOND;
    lab->count = 0;
    lab->v =
        vnet_new(limits, 42,
                 &(struct vnet_owner){
                     .output = lab_output, .egress = lab_egress, .guest = lab_guest, .arg = lab});
    assert_int_equal(vnet_add_network(lab->v, &networks[0], &e), 0);
    assert_int_equal(vnet_add_network(lab->v, &networks[1], &e), 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(
            vnet_add_plug(lab->v, &(struct vnet_plug){.name = "plug", .network = i / 3}, &e), i);
}

static inline int lab_setup(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);
    lab_limited(lab, &vnet_default_limits);
    *state = lab;
    return 0;
}

static inline int lab_teardown(void **state)
{
    struct lab *lab = *state;
    vnet_free(lab->v);
    free(lab);
    return 0;
}

// Sends a frame, from an allocation of its exact size so that a read beyond it shows, and lets
// everything come out.
static inline void lab_send_part(struct lab *lab, unsigned plug, const struct wire *w, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1);
    memcpy(exact, w->at, n);
    lab->count = 0;
    lab->egress_count = 0;
    vnet_input(lab->v, lab->now, plug, exact, n);
    free(exact);
    vnet_advance(lab->v, lab->now);
    assert_true(vnet_next(lab->v) > lab->now); // routers may have something to do later
}

static inline void lab_send(struct lab *lab, unsigned plug, const struct wire *w)
{
    lab_send_part(lab, plug, w, w->n);
}

static inline uint64_t lab_drops(const struct lab *lab, unsigned plug, enum vnet_drop why)
{
    return vnet_counters(lab->v, plug)->drops[why];
}

// Sends a frame that must be dropped for this reason, without an answer.
static inline void lab_refused(struct lab *lab, unsigned plug, const struct wire *w,
                               enum vnet_drop why)
{
    uint64_t before = lab_drops(lab, plug, why);
    lab_send(lab, plug, w);
    for (unsigned i = 0; i < lab->count; i++)
        assert_int_not_equal(lab->out[i].plug, plug);
    assert_int_equal(lab_drops(lab, plug, why), before + 1);
}

static inline uint32_t number_at(const struct wire *w, size_t at, int bytes)
{
    uint32_t v = 0;
    assert_in_range(at + bytes, 0, w->n);
    while (bytes-- > 0)
        v = v << 8 | w->at[at++];
    return v;
}

// Sends a frame that must be dropped for this reason, of which its sender is told by ICMP.
static inline const struct wire *lab_told(struct lab *lab, unsigned plug, const struct wire *w,
                                          enum vnet_drop why, unsigned type_and_code)
{
    uint64_t before = lab_drops(lab, plug, why);
    lab_send(lab, plug, w);
    assert_int_equal(lab_drops(lab, plug, why), before + 1);
    assert_int_equal(lab->count, 1);
    assert_int_equal(lab->out[0].plug, plug);
    assert_int_equal(lab->out[0].frame.at[23], 1);
    assert_int_equal(number_at(&lab->out[0].frame, 34, 2), type_and_code);
    return &lab->out[0].frame;
}

// Lets time pass; what comes out is kept.
static inline void lab_pass(struct lab *lab, uint64_t ns)
{
    lab->count = 0;
    lab->egress_count = 0;
    lab->now += ns;
    vnet_advance(lab->v, lab->now);
}

// The one answer to the sender at plug 0 (others may have seen a copy of what it sent).
static inline const struct wire *lab_answer(const struct lab *lab)
{
    const struct wire *found = NULL;
    for (unsigned i = 0; i < lab->count; i++) {
        if (lab->out[i].plug != 0)
            continue;
        assert_null(found);
        found = &lab->out[i].frame;
    }
    assert_non_null(found);
    return found;
}

static inline unsigned lab_answers(const struct lab *lab, unsigned plug)
{
    unsigned n = 0;
    for (unsigned i = 0; i < lab->count; i++)
        n += lab->out[i].plug == plug;
    return n;
}

// Appends hexadecimal digits; blanks between them are passed over.
static inline void hex(struct wire *w, const char *digits)
{
    for (const char *d = digits; *d; d++) {
        if (*d == ' ')
            continue;
        const char pair[] = {d[0], d[1], 0};
        w->at[w->n++] = (uint8_t)strtoul(pair, NULL, 16);
        d++;
    }
}

static inline void number(struct wire *w, uint32_t v, int bytes)
{
    while (bytes-- > 0)
        w->at[w->n++] = (uint8_t)(v >> 8 * bytes);
}

static inline void assert_hex(const struct wire *w, size_t at, const char *digits)
{
    struct wire want = {0};
    hex(&want, digits);
    assert_in_range(at + want.n, 0, w->n);
    assert_memory_equal(w->at + at, want.at, want.n);
}

// Sums words one by one with the carry brought round at once.
static inline uint16_t word_sum(const uint8_t *at, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static inline void set16(struct wire *w, size_t at, unsigned v)
{
    w->at[at] = (uint8_t)(v >> 8);
    w->at[at + 1] = (uint8_t)v;
}

static inline void seal_ipv4(struct wire *w)
{
    set16(w, 24, 0);
    set16(w, 24, ~word_sum(w->at + 14, (w->at[14] & 15) * 4u, 0) & 0xffff);
}

// The sum over a UDP datagram and its pseudo header; 0xffff when it is right.
static inline uint16_t udp_sum(const struct wire *w)
{
    return word_sum(w->at + 34, w->n - 34, 17 + (uint32_t)(w->n - 34) + word_sum(w->at + 26, 8, 0));
}

// An IPv4 packet in an Ethernet frame.
static inline struct wire ipv4(const char *to_mac, const char *from_mac, uint32_t from, uint32_t to,
                               unsigned protocol, const struct wire *payload)
{
    struct wire w = {0};
    hex(&w, to_mac);
    hex(&w, from_mac);
    hex(&w, "0800 4500");
    number(&w, 20 + (uint32_t)payload->n, 2);
    hex(&w, "1234 0000 40");
    number(&w, protocol, 1);
    number(&w, 0, 2);
    number(&w, from, 4);
    number(&w, to, 4);
    memcpy(w.at + w.n, payload->at, payload->n);
    w.n += payload->n;
    seal_ipv4(&w);
    return w;
}

static inline struct wire udp(const char *to_mac, const char *from_mac, uint32_t from, uint32_t to,
                              unsigned from_port, unsigned to_port, const struct wire *payload)
{
    struct wire u = {0};
    number(&u, from_port, 2);
    number(&u, to_port, 2);
    number(&u, 8 + (uint32_t)payload->n, 2);
    number(&u, 0, 2);
    memcpy(u.at + u.n, payload->at, payload->n);
    u.n += payload->n;
    struct wire w = ipv4(to_mac, from_mac, from, to, 17, &u);
    set16(&w, 40, ~udp_sum(&w) & 0xffff);
    return w;
}

// An echo request with n bytes of data.
static inline struct wire ping_of(const char *to_mac, const char *from_mac, uint32_t from,
                                  uint32_t to, size_t n)
{
    struct wire icmp = {0};
    hex(&icmp, "0800 0000 abcd 0001");
    for (size_t i = 0; i < n; i++)
        icmp.at[icmp.n++] = (uint8_t)(i * 7);
    set16(&icmp, 2, ~word_sum(icmp.at, icmp.n, 0) & 0xffff);
    return ipv4(to_mac, from_mac, from, to, 1, &icmp);
}

static inline struct wire arp(const char *to_mac, const char *from_mac, unsigned op,
                              uint32_t sender, uint32_t target)
{
    struct wire w = {0};
    hex(&w, to_mac);
    hex(&w, from_mac);
    hex(&w, "0806 0001 0800 06 04");
    number(&w, op, 2);
    hex(&w, from_mac);
    number(&w, sender, 4);
    hex(&w, "000000000000");
    number(&w, target, 4);
    return w;
}

// The routers have heard of node A at plug 0, B at 1 and C at 3.
static inline void lab_meet(struct lab *lab)
{
    const struct wire a = arp(MAC_ALL, MAC_A, 1, NODE_A, HOME);
    const struct wire b = arp(MAC_ALL, MAC_B, 1, NODE_B, HOME);
    const struct wire c = arp(MAC_ALL, MAC_C, 1, NODE_C, OFFICE);
    lab_send(lab, 0, &a);
    lab_send(lab, 1, &b);
    lab_send(lab, 3, &c);
}

// A part of a packet: its payload's bytes from..to, multiples of 8.
static inline struct wire part(const struct wire *whole, size_t from, size_t to)
{
    struct wire w = *whole;
    bool more = to < whole->n - 34;
    memcpy(w.at + 34, whole->at + 34 + from, to - from);
    w.n = 34 + to - from;
    set16(&w, 16, (unsigned)w.n - 14);
    set16(&w, 20, (more ? 0x2000 : 0) | (unsigned)from / 8);
    seal_ipv4(&w);
    return w;
}

// Puts what came out together, which must be the fragments of one packet for this plug, in order.
static inline void join(const struct lab *lab, unsigned plug, struct wire *whole, size_t mtu)
{
    size_t payload = 0;
    assert_true(lab->count > 0);
    memset(whole, 0, sizeof *whole);
    for (unsigned i = 0; i < lab->count; i++) {
        const struct wire *w = &lab->out[i].frame;
        size_t header = 4u * (w->at[14] & 15u);
        unsigned fragment = number_at(w, 20, 2);
        assert_int_equal(lab->out[i].plug, plug);
        assert_true(w->n - 14 <= mtu);
        assert_int_equal(w->n - 14, number_at(w, 16, 2));
        assert_int_equal(word_sum(w->at + 14, header, 0), 0xffff);
        assert_int_equal((fragment & 0x1fff) * 8, payload);
        assert_int_equal((fragment & 0x2000) != 0, i + 1 < lab->count);
        assert_int_equal(number_at(w, 18, 2), number_at(&lab->out[0].frame, 18, 2));
        if (i == 0) {
            memcpy(whole->at, w->at, 14 + header);
            whole->n = 14 + header;
        }
        memcpy(whole->at + whole->n, w->at + 14 + header, w->n - 14 - header);
        whole->n += w->n - 14 - header;
        payload += w->n - 14 - header;
    }
}
