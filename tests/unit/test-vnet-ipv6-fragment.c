// IPv6 packets for a router, or a host of the internet, that come in fragments.
#include "vnet-lab6.h"

enum { HEADER = 8, BODY = ICMP6 + HEADER };

// A ping with n bytes of payload after the ICMPv6 header.
static struct wire ping(const char *from, const char *to, size_t n)
{
    struct wire payload = {0};
    hex(&payload, "80000000");
    for (size_t i = 0; i < n; i++)
        number(&payload, i % 251, 1);
    struct wire w = ip6(MAC_ROUTER, MAC_A, from, to, 58, 64, &payload);
    seal6(&w);
    return w;
}

// A fragment: the bytes [from, to) of what follows the header.
static struct wire cut(const struct wire *whole, unsigned id, size_t from, size_t to)
{
    struct wire w = *whole;
    bool more = to < whole->n - ICMP6;
    w.n = ICMP6;
    w.at[IP6 + 6] = FRAGMENT6;
    number(&w, 58 << 8, 2);
    number(&w, (uint32_t)from | more, 2);
    number(&w, id, 4);
    memcpy(w.at + w.n, whole->at + ICMP6 + from, to - from);
    w.n += to - from;
    set16(&w, IP6 + 4, (unsigned)(w.n - ICMP6));
    return w;
}

static void send_cut(struct lab *lab, const struct wire *whole, unsigned id, size_t from, size_t to)
{
    const struct wire w = cut(whole, id, from, to);
    lab_send(lab, 0, &w);
}

static void send_third(struct lab *lab, const struct wire *whole, unsigned id, unsigned third)
{
    send_cut(lab, whole, id, 64 * (size_t)third, third < 2 ? 64 * (third + 1) : whole->n - ICMP6);
}

static void assert_answers(const struct lab *lab, const struct wire *ping)
{
    const struct wire *got = lab_answer(lab);
    assert_int_equal(got->n, ping->n);
    assert_hex(got, ICMP6, "8100");
    assert_memory_equal(got->at + ICMP6_BODY, ping->at + ICMP6_BODY, ping->n - ICMP6_BODY);
}

static void any_order_will_do(void **state)
{
    static const unsigned orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct lab *lab = *state;
    const struct wire w = ping(A_HOME, ROUTER_HOME, 131);
    for (unsigned i = 0; i < sizeof orders / sizeof *orders; i++) {
        for (unsigned k = 0; k < 3; k++) {
            assert_int_equal(lab->count, k == 0 && i > 0);
            send_third(lab, &w, 7 + i, orders[i][k]);
        }
        assert_answers(lab, &w);
    }
}

// Puts an answer in fragments together, which must come in order.
static void join6(const struct lab *lab, size_t mtu, struct wire *whole)
{
    memset(whole, 0, sizeof *whole);
    assert_true(lab->count > 1);
    for (unsigned i = 0; i < lab->count; i++) {
        const struct wire *w = &lab->out[i].frame;
        assert_int_equal(lab->out[i].plug, 0);
        assert_int_equal(w->at[IP6 + 6], FRAGMENT6);
        assert_true(w->n - IP6 <= mtu);
        assert_hex(w, ICMP6, "3a00");
        assert_int_equal(number_at(w, ICMP6 + 4, 4), number_at(&lab->out[0].frame, ICMP6 + 4, 4));
        if (i == 0) {
            memcpy(whole->at, w->at, ICMP6);
            whole->n = ICMP6;
            whole->at[IP6 + 6] = 58;
        }
        assert_int_equal(number_at(w, ICMP6 + 2, 2), (whole->n - ICMP6) | (i < lab->count - 1));
        memcpy(whole->at + whole->n, w->at + BODY, w->n - BODY);
        whole->n += w->n - BODY;
    }
    assert_int_equal(sum6(whole), 0xffff);
}

// The answer through an uplink fits every path.
static void a_large_ping_has_a_large_answer(void **state)
{
    static const struct {
        const char *from, *to;
        size_t mtu;
    } pings[] = {{A_HOME, ROUTER_HOME, 1500},
                 {A_LOCAL, ROUTER_LOCAL, 1500},
                 {A_HOME, INTERNET_HOST, 1280},
                 {A_HOME, ROUTER_OFFICE, 1280}};
    struct lab *lab = *state;
    struct wire got;
    lab6_meet(lab, 0, MAC_A, A_HOME);
    for (size_t i = 0; i < sizeof pings / sizeof *pings; i++) {
        const struct wire w = ping(pings[i].from, pings[i].to, 3004);
        for (size_t at = 0; at < w.n - ICMP6; at += 1232)
            send_cut(lab, &w, 1, at, at + 1232 < w.n - ICMP6 ? at + 1232 : w.n - ICMP6);
        join6(lab, pings[i].mtu, &got);
        assert_int_equal(got.n, w.n);
        assert_memory_equal(got.at + ICMP6_BODY, w.at + ICMP6_BODY, w.n - ICMP6_BODY);
    }
}

// RFC 5722.
static void overlaps_end_a_packet(void **state)
{
    struct lab *lab = *state;
    const struct wire w = ping(A_HOME, ROUTER_HOME, 131);
    struct wire overlap = cut(&w, 1, 56, 128);
    overlap.at[BODY] ^= 1;
    send_third(lab, &w, 1, 0);
    lab_refused(lab, 0, &overlap, VNET_DROP_FRAGMENT);
    send_third(lab, &w, 1, 1);
    send_third(lab, &w, 1, 2);
    assert_int_equal(lab->count, 0);
}

static void what_comes_twice_counts_once(void **state)
{
    struct lab *lab = *state;
    const struct wire w = ping(A_HOME, ROUTER_HOME, 131);
    for (unsigned i = 0; i < 5; i++)
        send_third(lab, &w, 1, i / 2);
    assert_answers(lab, &w);
}

// RFC 8200, 4.5: a fragment in the middle has a multiple of 8 bytes.
static void odd_fragments_are_told(void **state)
{
    struct lab *lab = *state;
    const struct wire w = ping(A_HOME, ROUTER_HOME, 131);
    send_cut(lab, &w, 1, 0, 63);
    assert_int_equal(lab_drops(lab, 0, VNET_DROP_FRAGMENT), 1);
    assert_hex(lab_answer(lab), ICMP6, "0400");
    assert_hex(lab_answer(lab), ICMP6_BODY, "00000004");
}

static void too_large_ones_are_dropped(void **state)
{
    struct lab *lab = *state;
    const struct wire w = ping(A_HOME, ROUTER_HOME, 131);
    struct wire far = cut(&w, 1, 0, 64);
    set16(&far, ICMP6 + 2, 65528);
    lab_refused(lab, 0, &far, VNET_DROP_FRAGMENT);
}

// In the unfragmentable part: the whole has them, and its next header is the fragment header's.
static void headers_stay_before_the_whole(void **state)
{
    static const char options[] = "3c00 010400000000"; // for the destination; then a fragment's
    struct lab *lab = *state;
    const struct wire w = ping(A_HOME, ROUTER_HOME, 131);
    for (unsigned i = 0; i < 3; i++) {
        struct wire payload = {0};
        struct wire one = cut(&w, 1, 64 * (size_t)i, i < 2 ? 64 * (i + 1) : w.n - ICMP6);
        hex(&payload, options);
        payload.at[0] = FRAGMENT6;
        memcpy(payload.at + payload.n, one.at + ICMP6, one.n - ICMP6);
        payload.n += one.n - ICMP6;
        one = ip6(MAC_ROUTER, MAC_A, A_HOME, ROUTER_HOME, 60, 64, &payload);
        lab_send(lab, 0, &one);
    }
    assert_answers(lab, &w);
}

static void a_fragment_has_no_fragments(void **state)
{
    struct lab *lab = *state;
    const struct wire w = ping(A_HOME, ROUTER_HOME, 131);
    struct wire inner = cut(&w, 1, 0, 64);
    inner.at[IP6 + 6] = 58; // cut() shall put it into the next one
    struct wire outer = cut(&inner, 2, 0, 40);
    outer.at[ICMP6] = FRAGMENT6;
    lab_send(lab, 0, &outer);
    outer = cut(&inner, 2, 40, inner.n - ICMP6);
    lab_refused(lab, 0, &outer, VNET_DROP_BAD_IPV6);
}

static void they_do_not_wait_for_ever(void **state)
{
    struct lab *lab = *state;
    const struct wire w = ping(A_HOME, ROUTER_HOME, 131);
    send_third(lab, &w, 1, 0);
    lab6_pass(lab, lab->now + 30ull * SECOND);
    assert_int_equal(vnet_network_counters(lab->v, 0)->drops[VNET_DROP_FRAGMENT], 1);
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab6_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(any_order_will_do),
        LAB_TEST(a_large_ping_has_a_large_answer),
        LAB_TEST(overlaps_end_a_packet),
        LAB_TEST(what_comes_twice_counts_once),
        LAB_TEST(odd_fragments_are_told),
        LAB_TEST(too_large_ones_are_dropped),
        LAB_TEST(headers_stay_before_the_whole),
        LAB_TEST(a_fragment_has_no_fragments),
        LAB_TEST(they_do_not_wait_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
