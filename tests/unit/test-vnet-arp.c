// ARP: the router answers for itself and for nobody else.
#include "vnet-lab.h"

static void router_answers_for_itself(void **state)
{
    struct lab *lab = *state;
    struct wire w = arp(MAC_ALL, MAC_A, 1, HOME + 100, HOME);
    lab_send(lab, 0, &w);
    assert_int_equal(lab_answer(lab)->n, 42);
    assert_hex(lab_answer(lab), 0,
               MAC_A MAC_ROUTER "0806 0001 0800 06 04 0002" MAC_ROUTER "c0a80001" MAC_A "c0a80065");
    assert_int_equal(lab->count, 3); // the others saw the question, and not the answer
    w = arp(MAC_ROUTER, MAC_A, 1, HOME + 100, HOME);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1);
}

static void router_answers_a_probe_and_a_claim(void **state)
{
    struct lab *lab = *state;
    struct wire w = arp(MAC_ALL, MAC_A, 1, 0, HOME);
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), 20, "0002" MAC_ROUTER "c0a80001" MAC_A "00000000");
    w = arp(MAC_ALL, MAC_A, 1, HOME, HOME);
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), 20, "0002" MAC_ROUTER "c0a80001" MAC_A "c0a80001");
}

static void router_is_silent_about_others(void **state)
{
    struct lab *lab = *state;
    struct wire questions[] = {
        arp(MAC_ALL, MAC_A, 1, HOME + 100, HOME + 101),
        arp(MAC_ALL, MAC_A, 1, HOME + 100, OFFICE),
        arp(MAC_ALL, MAC_A, 2, HOME + 100, HOME),
        arp(MAC_ALL, MAC_A, 0, HOME + 100, HOME),
    };
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        lab_send(lab, 0, &questions[i]);
        assert_int_equal(lab_answers(lab, 0), 0);
        assert_int_equal(lab->count, 2);
        assert_int_equal(lab_drops(lab, 0, VNET_DROP_BAD_ARP), 0);
    }
}

static void hostile_lengths_have_no_answer(void **state)
{
    struct lab *lab = *state;
    struct wire w = arp(MAC_ALL, MAC_A, 1, HOME + 100, HOME);
    for (size_t n = 0; n < w.n; n++) {
        lab_send_part(lab, 0, &w, n);
        assert_int_equal(lab_answers(lab, 0), 0);
    }
    assert_int_equal(lab_drops(lab, 0, VNET_DROP_BAD_ARP), 28);
    for (size_t at = 14; at < 20; at++) { // types and lengths
        struct wire bad = w;
        bad.at[at] ^= 0x80;
        lab_refused(lab, 0, &bad, VNET_DROP_BAD_ARP);
    }
    w.n = 60; // padding is fine
    lab_send(lab, 0, &w);
    assert_int_equal(lab_answers(lab, 0), 1);
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(router_answers_for_itself),
        LAB_TEST(router_answers_a_probe_and_a_claim),
        LAB_TEST(router_is_silent_about_others),
        LAB_TEST(hostile_lengths_have_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
