// How a router finds the hosts on its LAN, and what becomes of packets for those it does not find.
#include "vnet-lab.h"

// To a host of the office, from home: the router of the office has to find it.
static struct wire to_office(uint32_t to)
{
    return ping_of(MAC_ROUTER, MAC_A, NODE_A, to, 4);
}

static void assert_asks(const struct lab *lab, unsigned i, const char *mac, uint32_t address)
{
    assert_in_range(i + 1, 1, lab->count);
    assert_int_equal(lab->out[i].plug, 3);
    assert_hex(&lab->out[i].frame, 0, mac);
    assert_hex(&lab->out[i].frame, 6,
               MAC_OFFICE "0806 0001 0800 06 04 0001" MAC_OFFICE "0a020001 000000000000");
    assert_int_equal(number_at(&lab->out[i].frame, 38, 4), address);
}

static void answer(struct lab *lab)
{
    const struct wire reply = arp(MAC_OFFICE, MAC_C, 2, NODE_C, OFFICE);
    lab_send(lab, 3, &reply);
}

static void a_packet_waits_for_the_answer(void **state)
{
    struct lab *lab = *state;
    const struct wire w = to_office(NODE_C);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1);
    assert_asks(lab, 0, MAC_ALL, NODE_C);
    answer(lab);
    assert_int_equal(lab->count, 1);
    assert_int_equal(lab->out[0].plug, 3);
    assert_hex(&lab->out[0].frame, 0, MAC_C MAC_OFFICE "0800");
    assert_true(vnet_next(lab->v) == VNET_NEVER);
    lab_send(lab, 0, &w); // the next one goes at once
    assert_int_equal(lab->count, 1);
    assert_hex(&lab->out[0].frame, 0, MAC_C MAC_OFFICE "0800");
}

static void silence_is_told_after_three_questions(void **state)
{
    struct lab *lab = *state;
    const struct wire w = to_office(NODE_C);
    const struct wire a = arp(MAC_ROUTER, MAC_A, 1, NODE_A, HOME);
    lab_send(lab, 0, &a);
    lab_send(lab, 0, &w);
    for (int i = 1; i < 3; i++) {
        lab_pass(lab, SECOND - 1);
        assert_int_equal(lab->count, 0);
        lab_pass(lab, 1);
        assert_int_equal(lab->count, 1);
        assert_asks(lab, 0, MAC_ALL, NODE_C);
    }
    lab_pass(lab, SECOND);
    assert_int_equal(lab->count, 1);
    assert_hex(lab_answer(lab), 26, "0a020001 c0a80065 0301 ");
    assert_int_equal(vnet_network_counters(lab->v, 1)->drops[VNET_DROP_NO_NEIGHBOUR], 1);
    assert_true(vnet_next(lab->v) == VNET_NEVER);
    lab_send(lab, 0, &w); // and is forgotten
    assert_asks(lab, 0, MAC_ALL, NODE_C);
}

static void some_packets_wait_for_a_host(void **state)
{
    struct lab *lab = *state;
    for (unsigned i = 0; i < 18; i++) {
        struct wire w = to_office(NODE_C);
        set16(&w, 18, i);
        seal_ipv4(&w);
        lab_send(lab, 0, &w);
        assert_int_equal(lab->count, i == 0);
    }
    assert_int_equal(vnet_network_counters(lab->v, 1)->drops[VNET_DROP_QUEUE_FULL], 2);
    answer(lab);
    assert_int_equal(lab->count, 16);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(number_at(&lab->out[i].frame, 18, 2), 2 + i);
}

static void a_host_in_use_is_asked_again(void **state)
{
    struct lab *lab = *state;
    const struct wire w = to_office(NODE_C);
    lab_meet(lab);
    lab_pass(lab, 30ull * SECOND - 1);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1);
    lab_pass(lab, 1);
    assert_int_equal(lab->count, 0);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 2);
    assert_asks(lab, 0, MAC_C, NODE_C);
    answer(lab);
    assert_true(vnet_next(lab->v) == VNET_NEVER);

    lab_pass(lab, 30ull * SECOND);
    for (unsigned i = 0; i < 3; i++) { // and meanwhile is where it was
        lab_send(lab, 0, &w);
        assert_int_equal(lab->count, i == 0 ? 2 : 1);
        lab_pass(lab, SECOND);
        assert_int_equal(lab->count, i < 2);
    }
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1);
    assert_asks(lab, 0, MAC_ALL, NODE_C);
}

static void only_what_is_known_changes(void **state)
{
    struct lab *lab = *state;
    const struct wire w = to_office(NODE_C);
    const struct wire claim = arp(MAC_ALL, MAC_C, 1, NODE_C, NODE_C);
    const struct wire moved = arp(MAC_ALL, MAC_X, 1, NODE_C, NODE_C);
    lab_send(lab, 3, &claim); // of nobody the router knows
    lab_send(lab, 0, &w);
    assert_asks(lab, 0, MAC_ALL, NODE_C);
    answer(lab);
    lab_send(lab, 3, &moved);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1);
    assert_hex(&lab->out[0].frame, 0, MAC_X);
}

static void nobody_becomes_a_group_or_the_router(void **state)
{
    static const char *const macs[] = {MAC_ALL, "000000000000", MAC_OFFICE, "01005e000001"};
    struct lab *lab = *state;
    const struct wire w = to_office(NODE_C);
    lab_meet(lab);
    for (size_t i = 0; i < sizeof macs / sizeof *macs; i++) {
        struct wire lie = arp(MAC_ALL, MAC_C, 2, NODE_C, OFFICE);
        lie.n = 22;
        hex(&lie, macs[i]);
        lie.n = 42;
        lab_send(lab, 3, &lie);
        lab_send(lab, 0, &w);
        assert_int_equal(lab->count, 1);
        assert_hex(&lab->out[0].frame, 0, MAC_C);
    }
    struct wire lie = arp(MAC_OFFICE, MAC_C, 2, OFFICE, OFFICE); // the router's own address
    lab_send(lab, 3, &lie);
    lie = arp(MAC_OFFICE, MAC_C, 2, HOME + 7, OFFICE); // one that is not on this LAN
    lab_send(lab, 3, &lie);
    lab_pass(lab, 0);
    assert_int_equal(lab->count, 0);
}

static void a_scan_pushes_out_itself(void **state)
{
    struct vnet_limits limits = vnet_default_limits;
    struct lab *lab = *state;
    limits.neighbours = 4;
    vnet_free(lab->v);
    lab_limited(lab, &limits);
    lab_meet(lab);
    for (unsigned i = 0; i < 200; i++) {
        const struct wire w = to_office(OFFICE + 1000 + i);
        lab_send(lab, 0, &w);
        assert_asks(lab, 0, MAC_ALL, OFFICE + 1000 + i);
        lab_pass(lab, SECOND / 100);
    }
    const struct wire w = to_office(NODE_C);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1);
    assert_hex(&lab->out[0].frame, 0, MAC_C);
    assert_int_equal(vnet_network_counters(lab->v, 1)->drops[VNET_DROP_NO_NEIGHBOUR], 197);
}

static void waiting_packets_are_few(void **state)
{
    struct lab *lab = *state;
    for (unsigned i = 0; i < 100; i++) {
        const struct wire w = to_office(OFFICE + 1000 + i);
        lab_send(lab, 0, &w);
        lab->now += 1000;
    }
    assert_int_equal(vnet_network_counters(lab->v, 1)->drops[VNET_DROP_QUEUE_FULL], 36);
    lab->now += 10ull * SECOND; // all at once: more questions than a test keeps
    for (uint64_t at = vnet_next(lab->v); at <= lab->now; at = vnet_next(lab->v)) {
        lab->count = 0;
        vnet_advance(lab->v, at);
    }
    assert_true(vnet_next(lab->v) == VNET_NEVER);
    assert_int_equal(vnet_network_counters(lab->v, 1)->drops[VNET_DROP_NO_NEIGHBOUR], 64);
}

static void a_removed_plug_is_told_nothing(void **state)
{
    struct lab *lab = *state;
    const struct wire w = ping_of(MAC_ROUTER, MAC_A, NODE_A, HOME + 200, 4); // by way of the router
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 3);
    vnet_remove_plug(lab->v, 0);
    struct err e;
    assert_int_equal(vnet_add_plug(lab->v, &(struct vnet_plug){.name = "new", .network = 0}, &e),
                     0);
    for (unsigned i = 0; i < 4; i++)
        lab_pass(lab, SECOND);
    assert_int_equal(lab->count, 0);
    assert_int_equal(lab_drops(lab, 0, VNET_DROP_NO_NEIGHBOUR), 0);
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(a_packet_waits_for_the_answer),  LAB_TEST(silence_is_told_after_three_questions),
        LAB_TEST(some_packets_wait_for_a_host),   LAB_TEST(a_host_in_use_is_asked_again),
        LAB_TEST(only_what_is_known_changes),     LAB_TEST(nobody_becomes_a_group_or_the_router),
        LAB_TEST(a_scan_pushes_out_itself),       LAB_TEST(waiting_packets_are_few),
        LAB_TEST(a_removed_plug_is_told_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
