// A lab with IPv6: plugs 0 and 1 in "home" (2000:52::1/64), 2 in "office" (2000:53::1/64, without
// IPv4), 3 in "old" (IPv4 alone). The internet has a host 2052::1. Every frame of a router's is
// checked by code that shares nothing with the one under test.
#pragma once

#include <stdio.h>

#include "vnet-lab.h"

#define ALL_NODES "ff020000000000000000000000000001"
#define ALL_ROUTERS "ff020000000000000000000000000002"
#define NOBODY "00000000000000000000000000000000"
#define ROUTER_LOCAL "fe800000000000000000000000000001"
#define ROUTER_HOME "20000052000000000000000000000001"
#define ROUTER_OFFICE "20000053000000000000000000000001"
#define GROUP_ROUTER "ff0200000000000000000001ff000001" // solicited-node, of all of them
#define A_LOCAL "fe8000000000000050ccccfffecccc01"
#define A_HOME "20000052000000000000000000000a0a"
#define B_HOME "20000052000000000000000000000b0b"
#define C_OFFICE "20000053000000000000000000000c0c"
#define INTERNET_HOST "20520000000000000000000000000001"
#define MAC_C "52cccccccc03"
#define MAC_OFFICE "52eeeeeeee02"
#define MAC_ALL_NODES "333300000001"
#define MAC_ALL_ROUTERS "333300000002"
#define MAC_GROUP_ROUTER "3333ff000001"

enum { IP6 = 14, ICMP6 = 54, ICMP6_BODY = 58, FRAGMENT6 = 44 };

// The sum over what follows an IPv6 header without extensions, and its pseudo header.
static inline uint16_t sum6(const struct wire *w)
{
    uint32_t pseudo = w->at[IP6 + 6] + (uint32_t)(w->n - ICMP6) + word_sum(w->at + IP6 + 8, 32, 0);
    return word_sum(w->at + ICMP6, w->n - ICMP6, pseudo);
}

static inline bool is_router_mac(const uint8_t *mac)
{
    return mac[0] == 0x52 && mac[1] == 0xee;
}

static inline void lab6_output(void *arg, unsigned plug, struct frame *f)
{
    struct lab *lab = arg;
    lab_output(arg, plug, f);
    const struct wire *w = &lab->out[lab->count - 1].frame;
    if (!is_router_mac(w->at + 6) || number_at(w, 12, 2) != 0x86dd)
        return;
    assert_hex(w, IP6, "60000000");
    assert_int_equal(number_at(w, IP6 + 4, 2), w->n - ICMP6);
    if (w->at[IP6 + 6] != FRAGMENT6) // which has a sum with the others only
        assert_int_equal(sum6(w), 0xffff);
}

static inline void lab6_make(struct lab *lab, const struct vnet_network *home)
{
    const struct vnet_network networks[] = {
        *home,
        {.name = "office",
         .router6 = {{0x20, 0, 0, 0x53, [15] = 1}},
         .prefix6 = 64,
         .mtu = 1400,
         .wan_mtu = 1300},
        {.name = "old", .router = OFFICE, .prefix = 16, .mtu = 1400, .lease_seconds = 60},
    };
    static const unsigned network_of[] = {0, 0, 1, 2};
    const struct ip6 host = {{0x20, 0x52, [15] = 1}};
    struct err e;
    *lab = (struct lab){.now = SECOND};
    lab->v =
        vnet_new(&vnet_default_limits, 42, &(struct vnet_owner){.output = lab6_output, .arg = lab});
    for (int i = 0; i < 3; i++)
        assert_int_equal(vnet_add_network(lab->v, &networks[i], &e), i);
    assert_true(vnet_next(lab->v) == VNET_NEVER); // no plug, nothing to do
    vnet_advance(lab->v, lab->now);
    for (int i = 0; i < 4; i++)
        assert_int_equal(vnet_add_plug(lab->v, &(struct vnet_plug){"plug", network_of[i]}, &e), i);
    assert_int_equal(vnet_add_host(lab->v, 0, &host, &e), 0);
}

static const struct vnet_network lab6_home = {
    .name = "home",
    .router = HOME,
    .prefix = 24,
    .router6 = {{0x20, 0, 0, 0x52, [15] = 1}},
    .prefix6 = 64,
    .mtu = 1500,
    .lease_seconds = 3600,
    .domain = "lab.test",
};

// With the first router advertisements behind it.
static inline int lab6_setup(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);
    lab6_make(lab, &lab6_home);
    for (lab->now += 20ull * SECOND; vnet_next(lab->v) <= lab->now; lab->count = 0)
        vnet_advance(lab->v, vnet_next(lab->v));
    vnet_advance(lab->v, lab->now);
    *state = lab;
    return 0;
}

// Lets time pass until `until`; what comes out comes after what came before.
static inline void lab6_pass(struct lab *lab, uint64_t until)
{
    while (vnet_next(lab->v) <= until)
        vnet_advance(lab->v, vnet_next(lab->v));
    lab->now = until;
    vnet_advance(lab->v, until);
}

static inline struct wire ip6(const char *to_mac, const char *from_mac, const char *from,
                              const char *to, unsigned next, unsigned hop_limit,
                              const struct wire *payload)
{
    struct wire w = {0};
    hex(&w, to_mac);
    hex(&w, from_mac);
    hex(&w, "86dd 60000000");
    number(&w, (uint32_t)payload->n, 2);
    number(&w, next, 1);
    number(&w, hop_limit, 1);
    hex(&w, from);
    hex(&w, to);
    memcpy(w.at + w.n, payload->at, payload->n);
    w.n += payload->n;
    return w;
}

static inline void seal6(struct wire *w)
{
    set16(w, ICMP6 + 2, 0);
    set16(w, ICMP6 + 2, ~sum6(w) & 0xffff);
}

// The message is given in hexadecimal, without its checksum's value.
static inline struct wire icmp6(const char *to_mac, const char *from_mac, const char *from,
                                const char *to, unsigned hop_limit, const char *message)
{
    struct wire payload = {0};
    hex(&payload, message);
    struct wire w = ip6(to_mac, from_mac, from, to, 58, hop_limit, &payload);
    seal6(&w);
    return w;
}

#define ECHO "80000000 abcd0001 686921"

static inline struct wire echo6(const char *to_mac, const char *from, const char *to)
{
    return icmp6(to_mac, MAC_A, from, to, 64, ECHO);
}

// The router hears of a guest, as it does when the guest asks for the router.
static inline void lab6_meet(struct lab *lab, unsigned plug, const char *mac, const char *address)
{
    char message[128];
    snprintf(message, sizeof message, "8700000000000000" ROUTER_LOCAL "0101%s", mac);
    struct wire w = icmp6(MAC_GROUP_ROUTER, mac, address, GROUP_ROUTER, 255, message);
    lab_send(lab, plug, &w);
    assert_int_equal(lab_answers(lab, plug), 1);
}

// Of the frames that came out at a plug, those of the router with this ICMPv6 type.
static inline const struct wire *lab6_said(const struct lab *lab, unsigned plug, unsigned type,
                                           unsigned *count)
{
    const struct wire *found = NULL;
    *count = 0;
    for (unsigned i = 0; i < lab->count; i++) {
        const struct wire *w = &lab->out[i].frame;
        if (lab->out[i].plug != plug || !is_router_mac(w->at + 6) || w->at[IP6 + 6] != 58 ||
            w->at[ICMP6] != type)
            continue;
        found = w;
        ++*count;
    }
    return found;
}
