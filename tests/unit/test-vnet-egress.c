// The way out: what goes there from the lab of vnet-lab.h, and what comes back; the queries that
// leave by it; and what its process lets through.
#include <stdio.h>

#include "vnet-dns.h"
#include "vnet/egress/refusal.h"
#include "vnet/egress/translate.h"

#define FAR 0xcb007105u  // 203.0.113.5
#define SITE 0x05000001u // 5.0.0.1

enum { UDP = 17, TCP = 6 };

static int egress_setup(void **state)
{
    const struct vnet_egress egress = {.open = true, .resolves = true, .mtu = 1400};
    lab_setup(state);
    struct lab *lab = *state;
    vnet_set_egress(lab->v, &egress);
    lab_meet(lab);
    return 0;
}

static struct wire datagram(uint32_t to, unsigned port, size_t n)
{
    struct wire payload = {.n = n};
    return udp(MAC_ROUTER, MAC_A, NODE_A, to, 4000, port, &payload);
}

static void put_back(struct lab *lab, const struct wire *w)
{
    lab->count = 0;
    lab->egress_count = 0;
    vnet_egress_input(lab->v, lab->now, w->at, w->n);
    assert_int_equal(lab->count, 0); // not before time passes
    vnet_advance(lab->v, lab->now);
}

static void assert_ends(const struct wire *w, uint32_t from, unsigned from_port, uint32_t to,
                        unsigned to_port)
{
    assert_int_equal(word_sum(w->at + 14, 20, 0), 0xffff);
    assert_int_equal(udp_sum(w), 0xffff);
    assert_int_equal(number_at(w, 26, 4), from);
    assert_int_equal(number_at(w, 30, 4), to);
    assert_int_equal(number_at(w, 34, 2), from_port);
    assert_int_equal(number_at(w, 36, 2), to_port);
}

static void test_out_and_back(void **state)
{
    struct lab *lab = *state;
    const struct wire out = datagram(FAR, 7, 5);
    lab_send(lab, 0, &out);
    assert_int_equal(lab->count, 0);
    assert_int_equal(lab->egress_count, 1);
    assert_ends(&lab->egress[0], VNET_EGRESS_LAB, 4000, FAR, 7);
    assert_int_equal(lab->egress[0].at[22], 62); // two routers
    const struct wire payload = {.n = 9};
    const struct wire back =
        udp(MAC_A, MAC_A, FAR, VNET_EGRESS_LAB, 7, 4000, &payload); // MACs are nobody's
    put_back(lab, &back);
    assert_int_equal(lab->count, 1);
    assert_int_equal(lab->out[0].plug, 0);
    assert_hex(&lab->out[0].frame, 0, MAC_A MAC_ROUTER);
    assert_ends(&lab->out[0].frame, FAR, 7, NODE_A, 4000);
    assert_int_equal(vnet_egress_counters(lab->v)->frames_in, 1);
    assert_int_equal(vnet_egress_counters(lab->v)->frames_out, 1);
}

// Nobody of outside gets in by himself, nor with the lab's addresses.
static void test_unasked(void **state)
{
    struct lab *lab = *state;
    const struct wire payload = {.n = 9};
    const uint64_t *drops = vnet_egress_counters(lab->v)->drops;
    struct wire w = udp(MAC_A, MAC_A, FAR, VNET_EGRESS_LAB, 7, 4000, &payload);
    put_back(lab, &w);
    assert_int_equal(drops[VNET_DROP_NAT_FILTERED], 1);
    w = udp(MAC_A, MAC_A, FAR, NODE_A, 7, 4000, &payload);
    put_back(lab, &w);
    w = arp(MAC_ALL, MAC_X, 1, FAR, HOME);
    put_back(lab, &w);
    assert_int_equal(drops[VNET_DROP_ETHERTYPE], 1);
    w.n = 10;
    put_back(lab, &w);
    w.n = VNET_FRAME_MAX + 1;
    set16(&w, 12, 0x0800);
    put_back(lab, &w);
    assert_int_equal(drops[VNET_DROP_LONG_FRAME], 1);
    assert_int_equal(lab->egress_count, 0);
}

static void test_errors_are_told(void **state)
{
    struct lab *lab = *state;
    struct wire w = datagram(FAR, 7, 5);
    w.at[22] = 2;
    seal_ipv4(&w);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->egress_count, 0);
    assert_int_equal(number_at(lab_answer(lab), 34, 2), 0x0b00);
    assert_int_equal(number_at(lab_answer(lab), 26, 4), VNET_EGRESS_LAB);
    w = datagram(FAR, 7, 1450);
    set16(&w, 20, 0x4000);
    seal_ipv4(&w);
    lab_send(lab, 0, &w);
    assert_int_equal(number_at(lab_answer(lab), 34, 2), 0x0304);
    assert_int_equal(number_at(lab_answer(lab), 40, 2), 1400);
    set16(&w, 20, 0);
    seal_ipv4(&w);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->egress_count, 2); // fragments
}

static void test_closed(void **state)
{
    struct lab *lab = *state;
    const struct vnet_egress closed = {.mtu = 1500};
    struct err e;
    vnet_set_egress(lab->v, &closed);
    assert_int_equal(vnet_add_service(lab->v, UDP, SITE, 53, &e), 0);
    struct wire w = datagram(FAR, 7, 5);
    lab_told(lab, 0, &w, VNET_DROP_NO_ROUTE, 0x0300);
    w = datagram(SITE, 53, 5);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->egress_count, 1);
    w = datagram(SITE, 54, 5);
    lab_send(lab, 0, &w);
    assert_int_equal(number_at(lab_answer(lab), 34, 2), 0x0303);
    w = ping_of(MAC_ROUTER, MAC_A, NODE_A, SITE, 8);
    lab_send(lab, 0, &w);
    assert_int_equal(number_at(lab_answer(lab), 34, 2), 0);
    assert_int_equal(lab->egress_count, 0);
    assert_int_equal(vnet_add_service(lab->v, 1, SITE, 53, &e), -1);
}

// --- from the host to a guest ---

static struct wire inward(unsigned from_port, unsigned port, size_t n)
{
    const struct wire payload = {.n = n};
    return udp(MAC_A, MAC_A, VNET_EGRESS_RESOLVER, VNET_EGRESS_ROUTER, from_port, port, &payload);
}

static void test_in_and_back(void **state)
{
    struct lab *lab = *state;
    struct wire w = inward(5000, 1, 9);
    put_back(lab, &w);
    assert_int_equal(lab->count, 1);
    assert_hex(&lab->out[0].frame, 0, MAC_A MAC_ROUTER);
    assert_ends(&lab->out[0].frame, HOME, 5000, NODE_A, 80);
    const struct wire payload = {.n = 7};
    w = udp(MAC_ROUTER, MAC_A, NODE_A, HOME, 80, 5000, &payload);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 0);
    assert_int_equal(lab->egress_count, 1);
    assert_ends(&lab->egress[0], VNET_EGRESS_ROUTER, 1, VNET_EGRESS_RESOLVER, 5000);
    w = udp(MAC_ROUTER, MAC_A, NODE_A, HOME, 81, 5000, &payload); // another port has no session
    lab_told(lab, 0, &w, VNET_DROP_NO_PORT, 0x0303);
}

// Two ports with one peer are two for the guest, too.
static void test_two_ways_in(void **state)
{
    struct lab *lab = *state;
    struct wire w = inward(5000, 1, 9);
    put_back(lab, &w);
    w = inward(5000, 2, 9);
    put_back(lab, &w);
    assert_int_equal(lab->count, 1);
    assert_int_equal(lab->out[0].plug, 1);
    unsigned other = number_at(&lab->out[0].frame, 34, 2);
    assert_int_not_equal(other, 5000);
    assert_ends(&lab->out[0].frame, HOME, other, NODE_B, 80);
}

static void test_nobody_is_meant(void **state)
{
    struct lab *lab = *state;
    const uint64_t *drops = vnet_egress_counters(lab->v)->drops;
    struct wire w = inward(5000, 3, 9);
    put_back(lab, &w);
    assert_int_equal(lab->count, 0);
    assert_int_equal(drops[VNET_DROP_NO_PORT], 1);
}

static void test_in_by_fragments(void **state)
{
    struct lab *lab = *state;
    const struct wire whole = inward(5000, 1, 38);
    const struct wire first = part(&whole, 0, 24);
    const struct wire second = part(&whole, 24, 46);
    put_back(lab, &first);
    assert_int_equal(lab->count, 0);
    put_back(lab, &second);
    assert_int_equal(lab->count, 1);
    assert_ends(&lab->out[0].frame, HOME, 5000, NODE_A, 80);
}

// --- names ---

static const struct wire *ask(struct lab *lab, const char *name)
{
    const struct wire message = query(name, A);
    const struct wire w = udp(MAC_ROUTER, MAC_A, NODE_A, HOME, 5353, 53, &message);
    lab_send(lab, 0, &w);
    return &lab->egress[0];
}

static unsigned rcode(const struct wire *w)
{
    return number_at(w, 44, 2) & 15;
}

// The resolver's answer to a query that went out: the same with the flag of answers.
static struct wire resolved(const struct wire *asked, unsigned flags)
{
    struct wire payload = {.n = asked->n - 42};
    memcpy(payload.at, asked->at + 42, payload.n);
    set16(&payload, 2, flags);
    return udp(MAC_A, MAC_A, VNET_EGRESS_RESOLVER, VNET_EGRESS_ROUTER, 53, number_at(asked, 34, 2),
               &payload);
}

static void test_names_of_elsewhere(void **state)
{
    struct lab *lab = *state;
    const struct wire *asked = ask(lab, "far.example");
    assert_int_equal(lab->egress_count, 1);
    assert_int_equal(lab->count, 0);
    assert_ends(asked, VNET_EGRESS_ROUTER, number_at(asked, 34, 2), VNET_EGRESS_RESOLVER, 53);
    const struct wire good = resolved(asked, 0x8180);
    struct wire bad = good;
    set16(&bad, 42, number_at(&good, 42, 2) + 1); // another identifier
    set16(&bad, 40, 0);
    put_back(lab, &bad);
    bad = resolved(asked, 0x0100); // no answer
    put_back(lab, &bad);
    assert_int_equal(lab->count, 0);
    put_back(lab, &good);
    assert_int_equal(number_at(lab_answer(lab), 42, 2), 0x1234);
    assert_hex(lab_answer(lab), 26, "c0a80001 c0a80065 0035 14e9");
    assert_int_equal(udp_sum(lab_answer(lab)), 0xffff);
    put_back(lab, &good); // once
    assert_int_equal(lab->count, 0);
    assert_int_equal(vnet_egress_counters(lab->v)->drops[VNET_DROP_BAD_DNS], 3);
}

static void test_names_of_here(void **state)
{
    static const char *const names[] = {"nobody", "nobody.lab.test"};
    for (size_t i = 0; i < 2; i++) {
        struct lab *lab = *state;
        ask(lab, names[i]);
        assert_int_equal(lab->egress_count, 0);
        assert_int_equal(rcode(lab_answer(lab)), 3);
    }
}

static void test_no_answer(void **state)
{
    struct lab *lab = *state;
    ask(lab, "far.example");
    lab_pass(lab, 3ull * SECOND);
    assert_int_equal(lab->count, 0);
    lab_pass(lab, SECOND);
    assert_int_equal(rcode(lab_answer(lab)), 2);
    assert_int_equal(number_at(lab_answer(lab), 42, 2), 0x1234);
}

static void test_too_many_questions(void **state)
{
    struct lab *lab = *state;
    for (int i = 0; i < 256; i++) {
        ask(lab, "far.example");
        assert_int_equal(lab->egress_count, 1);
        assert_int_equal(lab->count, 0);
    }
    ask(lab, "far.example");
    assert_int_equal(lab->egress_count, 1);
    assert_int_equal(rcode(lab_answer(lab)), 2); // the oldest
}

static void test_who_asked_has_gone(void **state)
{
    struct lab *lab = *state;
    const struct wire asked = *ask(lab, "far.example");
    vnet_remove_plug(lab->v, 0);
    const struct wire w = resolved(&asked, 0x8180);
    put_back(lab, &w);
    assert_int_equal(lab->count, 0);
    lab_pass(lab, 10ull * SECOND);
    for (unsigned i = 0; i < lab->count; i++)
        assert_int_not_equal(lab->out[i].plug, 0);
}

// --- the process: what passes ---

static struct wire from_lab(uint32_t to, unsigned port)
{
    const struct wire payload = {.n = 30};
    return udp(MAC_A, MAC_A, VNET_EGRESS_LAB, to, 4000, port, &payload);
}

static void test_policy(void **state)
{
    static const uint32_t denied[] = {0x7f000001, 0x00000001, 0xc0000001, 0xc0000006,
                                      0xe0000001, 0xffffffff, 0x0a010203};
    struct translation t = {.open = true, .network_count = 1};
    t.networks[0].address = 0x0a0000ff; // an interface's
    t.networks[0].mask = 0xff000000;
    struct wire w = from_lab(FAR, 80);
    const struct wire before = w;
    assert_int_equal(translate_out(&t, w.at, w.n), PASS);
    assert_memory_equal(w.at, before.at, w.n);
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++) {
        w = from_lab(denied[i], 80);
        assert_int_equal(translate_out(&t, w.at, w.n), DENIED);
    }
    t.open = false;
    w = from_lab(FAR, 80);
    assert_int_equal(translate_out(&t, w.at, w.n), DENIED);
}

static void test_forwards(void **state)
{
    struct translation t = {0};
    for (unsigned i = 0; i < 4; i++) {
        const struct forward f = {.protocol = UDP,
                                  .lab = SITE + i,
                                  .lab_port = 53,
                                  .host = 0x7f000001,
                                  .host_port = 5353};
        assert_int_equal(translation_add(&t, &f) != NULL, i < 3);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct wire w = from_lab(SITE + i, 53);
        assert_int_equal(translate_out(&t, w.at, w.n), PASS);
        uint32_t as = number_at(&w, 26, 4);
        assert_ends(&w, as, 4000, 0x7f000001, 5353);
        const struct wire payload = {.n = 3};
        w = udp(MAC_A, MAC_A, 0x7f000001, as, 5353, 4000, &payload);
        translate_in(&t, w.at, w.n);
        assert_ends(&w, SITE + i, 53, VNET_EGRESS_LAB, 4000);
    }
    struct wire w = from_lab(SITE, 54);
    assert_int_equal(translate_out(&t, w.at, w.n), DENIED);
}

static void test_forwards_of_fragments(void **state)
{
    struct translation t = {0};
    const struct forward f = {
        .protocol = UDP, .lab = SITE, .lab_port = 53, .host = 0x7f000001, .host_port = 5353};
    translation_add(&t, &f);
    const struct wire whole = from_lab(SITE, 53);
    struct wire first = part(&whole, 0, 16);
    struct wire second = part(&whole, 16, 38);
    assert_int_equal(translate_out(&t, second.at, second.n), DENIED); // too early
    assert_int_equal(translate_out(&t, first.at, first.n), PASS);
    assert_int_equal(translate_out(&t, second.at, second.n), PASS);
    assert_int_equal(number_at(&second, 30, 4), 0x7f000001);
    assert_int_equal(word_sum(second.at + 14, 20, 0), 0xffff);
}

static void test_the_resolver_is_the_labs(void **state)
{
    struct translation t = {.open = true};
    struct wire w = from_lab(VNET_EGRESS_RESOLVER, 53);
    translation_resolve(&t, 0x7f000035, 53);
    assert_int_equal(translate_out(&t, w.at, w.n), DENIED); // a guest's
    const struct wire payload = {.n = 30};
    w = udp(MAC_A, MAC_A, VNET_EGRESS_ROUTER, VNET_EGRESS_RESOLVER, 20000, 53, &payload);
    assert_int_equal(translate_out(&t, w.at, w.n), PASS);
    assert_ends(&w, VNET_EGRESS_ROUTER, 20000, 0x7f000035, 53);
    translation_resolve(&t, 0, 53); // the host has none now
    w = udp(MAC_A, MAC_A, VNET_EGRESS_ROUTER, VNET_EGRESS_RESOLVER, 20000, 53, &payload);
    assert_int_equal(translate_out(&t, w.at, w.n), DENIED);
}

static void test_the_way_in(void **state)
{
    struct translation t = {.open = true};
    const struct wire payload = {.n = 30};
    struct wire w = udp(MAC_A, MAC_A, VNET_EGRESS_ROUTER, VNET_EGRESS_RESOLVER, 1, 5000, &payload);
    struct wire second = part(&w, 16, 38);
    translation_resolve(&t, 0x7f000035, 53);
    assert_int_equal(translate_out(&t, w.at, w.n), PASS);
    assert_ends(&w, VNET_EGRESS_ROUTER, 1, 0x7f000001, 5000);
    assert_int_equal(translate_out(&t, second.at, second.n), PASS);
    assert_int_equal(number_at(&second, 30, 4), 0x7f000001);
    w = udp(MAC_A, MAC_A, 0x7f000001, VNET_EGRESS_ROUTER, 5000, 1, &payload);
    translate_in(&t, w.at, w.n);
    assert_ends(&w, VNET_EGRESS_RESOLVER, 5000, VNET_EGRESS_ROUTER, 1);
}

static void test_refusal(void **state)
{
    const struct wire w = from_lab(FAR, 80);
    struct wire told = {0};
    told.n = refusal_write(told.at, w.at, w.n);
    assert_int_equal(number_at(&told, 34, 2), 0x030d);
    assert_int_equal(number_at(&told, 30, 4), VNET_EGRESS_LAB);
    assert_int_equal(word_sum(told.at + 14, 20, 0), 0xffff);
    assert_int_equal(word_sum(told.at + 34, told.n - 34, 0), 0xffff);
    assert_memory_equal(told.at + 42, w.at + 14, 28);
    struct wire again = {0};
    assert_int_equal(refusal_write(again.at, told.at, told.n), 0); // an error has none
    assert_int_equal(refusal_write(again.at, w.at, 30), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_out_and_back, egress_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_unasked, egress_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_errors_are_told, egress_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_closed, egress_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_in_and_back, egress_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_two_ways_in, egress_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_nobody_is_meant, egress_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_in_by_fragments, egress_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_names_of_elsewhere, egress_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_names_of_here, egress_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_no_answer, egress_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_too_many_questions, egress_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_who_asked_has_gone, egress_setup, lab_teardown),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_forwards),
        cmocka_unit_test(test_forwards_of_fragments),
        cmocka_unit_test(test_the_resolver_is_the_labs),
        cmocka_unit_test(test_the_way_in),
        cmocka_unit_test(test_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
