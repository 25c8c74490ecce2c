// Packets for a router that come in fragments.
#include "vnet-lab.h"

enum { N = 64 }; // bytes of a fragment

static struct wire ping(unsigned id)
{
    struct wire w = ping_of(MAC_ROUTER, MAC_A, NODE_A, HOME, 3 * N - 8 - 5);
    set16(&w, 18, id);
    seal_ipv4(&w);
    return w;
}

// The i-th of the three.
static struct wire third(const struct wire *whole, unsigned i)
{
    return part(whole, (size_t)i * N, i < 2 ? (size_t)(i + 1) * N : whole->n - 34);
}

static void send_third(struct lab *lab, const struct wire *whole, unsigned i)
{
    const struct wire w = third(whole, i);
    lab_send(lab, 0, &w);
}

static void assert_answers(const struct lab *lab, const struct wire *ping)
{
    const struct wire *got = lab_answer(lab);
    assert_int_equal(got->n, ping->n);
    assert_hex(got, 26, "c0a80001 c0a80065 0000");
    assert_memory_equal(got->at + 38, ping->at + 38, ping->n - 38);
    assert_int_equal(word_sum(got->at + 34, got->n - 34, 0), 0xffff);
}

static void any_order_will_do(void **state)
{
    static const unsigned orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct lab *lab = *state;
    for (unsigned i = 0; i < sizeof orders / sizeof *orders; i++) {
        const struct wire w = ping(i);
        for (unsigned k = 0; k < 3; k++) {
            assert_int_equal(lab->count, k == 0 && i > 0);
            send_third(lab, &w, orders[i][k]);
        }
        assert_answers(lab, &w);
        assert_true(vnet_next(lab->v) == VNET_NEVER);
    }
}

static void packets_may_be_mixed(void **state)
{
    struct lab *lab = *state;
    struct wire pings[8];
    for (unsigned i = 0; i < 8; i++)
        pings[i] = ping(100 + i);
    for (unsigned k = 0; k < 3; k++) {
        for (unsigned i = 0; i < 8; i++) {
            send_third(lab, &pings[i], k);
            if (k == 2)
                assert_answers(lab, &pings[i]);
        }
    }
}

static void a_large_ping_has_a_large_answer(void **state)
{
    static const uint32_t to[] = {HOME, OFFICE, 0x05000001};
    struct lab *lab = *state;
    struct wire got;
    struct err e;
    assert_int_equal(vnet_add_host(lab->v, to[2], NULL, &e), 0);
    lab_meet(lab);
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        const struct wire w = ping_of(MAC_ROUTER, MAC_A, NODE_A, to[i], 3000);
        for (size_t at = 0; at < w.n - 34; at += 1480) {
            const struct wire one = part(&w, at, at + 1480 < w.n - 34 ? at + 1480 : w.n - 34);
            lab_send(lab, 0, &one);
        }
        join(lab, 0, &got, 1500);
        assert_int_equal(got.n, w.n);
        assert_memory_equal(got.at + 38, w.at + 38, w.n - 38);
        assert_int_equal(word_sum(got.at + 34, got.n - 34, 0), 0xffff);
    }
}

static void what_comes_twice_counts_once(void **state)
{
    struct lab *lab = *state;
    const struct wire w = ping(1);
    send_third(lab, &w, 0);
    send_third(lab, &w, 0);
    send_third(lab, &w, 2);
    send_third(lab, &w, 2);
    send_third(lab, &w, 1);
    assert_answers(lab, &w);
}

static void overlaps_end_a_packet(void **state)
{
    static const struct {
        unsigned from, to;
    } bad[] = {{0, 128}, {56, 128}, {120, 184}, {0, 8}, {64, 72}};
    struct lab *lab = *state;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct wire w = ping(i);
        struct wire overlap = part(&w, bad[i].from, bad[i].to);
        overlap.at[34] ^= 1; // something else than what it covers
        send_third(lab, &w, 0);
        send_third(lab, &w, 1);
        lab_refused(lab, 0, &overlap, VNET_DROP_FRAGMENT);
        send_third(lab, &w, 2);
        assert_int_equal(lab->count, 0);
        lab_pass(lab, 30ull * SECOND);
    }
}

static void ends_must_agree(void **state)
{
    struct lab *lab = *state;
    struct wire w = ping(1);
    struct wire last = part(&w, 64, 100); // no multiple of 8, and not the last
    lab_refused(lab, 0, &last, VNET_DROP_FRAGMENT);
    last.at[20] &= 0x1f;
    seal_ipv4(&last);
    send_third(lab, &w, 2);
    lab_refused(lab, 0, &last, VNET_DROP_FRAGMENT); // a second end
    w = ping(2);
    last = third(&w, 1);
    last.at[20] &= 0x1f;
    seal_ipv4(&last);
    send_third(lab, &w, 2);
    lab_refused(lab, 0, &last, VNET_DROP_FRAGMENT); // an end before another's
    w = ping(3);
    last = third(&w, 0);
    set16(&last, 20, 1200); // 9600: larger than any frame
    seal_ipv4(&last);
    lab_refused(lab, 0, &last, VNET_DROP_FRAGMENT);
}

static void packets_do_not_wait_for_ever(void **state)
{
    struct lab *lab = *state;
    const struct wire w = ping(1);
    send_third(lab, &w, 0);
    send_third(lab, &w, 1);
    lab_pass(lab, 30ull * SECOND - 1);
    assert_int_equal(vnet_network_counters(lab->v, 0)->drops[VNET_DROP_FRAGMENT], 0);
    lab_pass(lab, 1);
    assert_int_equal(vnet_network_counters(lab->v, 0)->drops[VNET_DROP_FRAGMENT], 1);
    assert_true(vnet_next(lab->v) == VNET_NEVER);
    send_third(lab, &w, 2);
    assert_int_equal(lab->count, 0);
}

static void a_flood_of_beginnings_is_bounded(void **state)
{
    struct vnet_limits limits = vnet_default_limits;
    struct lab *lab = *state;
    limits.jumbo_frames = 9;
    vnet_free(lab->v);
    lab_limited(lab, &limits);
    for (unsigned i = 0; i < 1000; i++) {
        const struct wire w = ping(i);
        send_third(lab, &w, 0);
        lab->now++;
    }
    assert_int_equal(vnet_network_counters(lab->v, 0)->drops[VNET_DROP_FRAGMENT], 992);
    const struct wire w = ping(5000);
    for (unsigned i = 0; i < 3; i++)
        send_third(lab, &w, i);
    assert_answers(lab, &w);
}

static void errors_quote_the_whole(void **state)
{
    struct lab *lab = *state;
    struct wire data = {.n = 200};
    const struct wire w = udp(MAC_ROUTER, MAC_A, NODE_A, HOME, 4000, 9, &data);
    struct wire one = part(&w, 128, w.n - 34);
    lab_send(lab, 0, &one);
    one = part(&w, 0, 128);
    const struct wire *got = lab_told(lab, 0, &one, VNET_DROP_NO_PORT, 0x0303);
    assert_int_equal(got->n, 14 + 20 + 8 + w.n - 14);
    assert_memory_equal(got->at + 42, w.at + 14, w.n - 14);
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(any_order_will_do),
        LAB_TEST(packets_may_be_mixed),
        LAB_TEST(a_large_ping_has_a_large_answer),
        LAB_TEST(what_comes_twice_counts_once),
        LAB_TEST(overlaps_end_a_packet),
        LAB_TEST(ends_must_agree),
        LAB_TEST(packets_do_not_wait_for_ever),
        LAB_TEST(a_flood_of_beginnings_is_bounded),
        LAB_TEST(errors_quote_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
