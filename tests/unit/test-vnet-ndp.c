// Neighbour discovery: the router answers for itself, learns, and asks; guests' own passes.
#include "vnet-lab6.h"

#define SOURCE_A "0101" MAC_A
#define TARGET_B "0201" MAC_B

static struct wire solicit(const char *to_mac, const char *from, const char *to, const char *target,
                           const char *options)
{
    char message[256];
    snprintf(message, sizeof message, "8700000000000000%s%s", target, options);
    return icmp6(to_mac, MAC_A, from, to, 255, message);
}

static struct wire advertise_b(const char *to_mac, const char *to, const char *flags,
                               const char *options)
{
    char message[256];
    snprintf(message, sizeof message, "88000000%s" B_HOME "%s", flags, options);
    return icmp6(to_mac, MAC_B, B_HOME, to, 255, message);
}

static void router_answers_for_itself(void **state)
{
    static const char *const own[] = {ROUTER_LOCAL, ROUTER_HOME};
    static const char *const askers[] = {A_LOCAL, A_HOME};
    struct lab *lab = *state;
    for (int i = 0; i < 4; i++) {
        struct wire w =
            solicit(MAC_GROUP_ROUTER, askers[i / 2], GROUP_ROUTER, own[i % 2], SOURCE_A);
        lab_send(lab, 0, &w);
        assert_int_equal(lab->count, 2); // the other guest saw the question, not the answer
        const struct wire *got = lab_answer(lab);
        assert_int_equal(got->n, ICMP6 + 32);
        assert_hex(got, 0, MAC_A MAC_ROUTER "86dd 60000000 0020 3a ff");
        assert_hex(got, IP6 + 8, own[i % 2]);
        assert_hex(got, IP6 + 24, askers[i / 2]);
        assert_hex(got, ICMP6, "8800");
        assert_hex(got, ICMP6_BODY, "e0000000"); // router, solicited, override
        assert_hex(got, ICMP6_BODY + 4, own[i % 2]);
        assert_hex(got, ICMP6_BODY + 20, "0201" MAC_ROUTER);
    }
    struct wire w = solicit(MAC_ROUTER, A_HOME, ROUTER_HOME, ROUTER_HOME, ""); // is it still there?
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1);
    assert_hex(lab_answer(lab), 0, MAC_A MAC_ROUTER);
}

static void router_defends_its_addresses(void **state)
{
    static const char *const own[] = {ROUTER_LOCAL, ROUTER_HOME};
    struct lab *lab = *state;
    for (int i = 0; i < 2; i++) {
        struct wire w = solicit(MAC_GROUP_ROUTER, NOBODY, GROUP_ROUTER, own[i], "");
        lab_send(lab, 0, &w);
        const struct wire *got = lab_answer(lab);
        assert_hex(got, 0, MAC_ALL_NODES MAC_ROUTER);
        assert_hex(got, IP6 + 24, ALL_NODES);
        assert_hex(got, ICMP6_BODY, "a0000000");
        assert_hex(got, ICMP6_BODY + 4, own[i]);
        assert_int_equal(lab_answers(lab, 1), 2); // the question and the answer
    }
}

static void guests_discover_each_other(void **state)
{
    struct lab *lab = *state;
    struct wire question[] = {
        solicit("3333ff000b0b", A_HOME, "ff0200000000000000000001ff000b0b", B_HOME, SOURCE_A),
        solicit("3333ff000b0b", NOBODY, "ff0200000000000000000001ff000b0b", B_HOME, ""),
        solicit(MAC_ALL_NODES, A_HOME, ALL_NODES, B_HOME, SOURCE_A),
    };
    for (size_t i = 0; i < sizeof question / sizeof *question; i++) {
        lab_send(lab, 0, &question[i]);
        assert_int_equal(lab->count, 1);
        assert_int_equal(lab->out[0].plug, 1);
        assert_int_equal(lab->out[0].frame.n, question[i].n);
        assert_memory_equal(lab->out[0].frame.at, question[i].at, question[i].n);
        for (int drop = 0; drop < VNET_DROP_COUNT; drop++)
            assert_int_equal(lab_drops(lab, 0, (enum vnet_drop)drop), 0);
    }
    struct wire answers[] = {
        advertise_b(MAC_A, A_HOME, "60000000", TARGET_B),
        advertise_b(MAC_ALL_NODES, ALL_NODES, "20000000", TARGET_B), // the address is taken
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        lab_send(lab, 1, &answers[i]);
        assert_int_equal(lab->count, 1);
        assert_memory_equal(lab_answer(lab)->at, answers[i].at, answers[i].n);
    }
}

// RFC 4861, 7.1.1.
static void bad_solicitations_are_dropped(void **state)
{
    struct lab *lab = *state;
    struct wire bad[] = {
        solicit(MAC_GROUP_ROUTER, A_HOME, GROUP_ROUTER, ALL_NODES, SOURCE_A), // group as target
        solicit(MAC_GROUP_ROUTER, NOBODY, GROUP_ROUTER, ROUTER_HOME, SOURCE_A),
        solicit(MAC_GROUP_ROUTER, NOBODY, GROUP_ROUTER, ROUTER_HOME, "0101" MAC_ALL),
        solicit(MAC_ALL_NODES, NOBODY, ALL_NODES, ROUTER_HOME, ""),
        solicit(MAC_GROUP_ROUTER, A_HOME, GROUP_ROUTER, ROUTER_HOME, "0100" MAC_A), // length 0
        solicit(MAC_GROUP_ROUTER, A_HOME, GROUP_ROUTER, ROUTER_HOME, "0102" MAC_A), // beyond
        solicit(MAC_GROUP_ROUTER, A_HOME, GROUP_ROUTER, ROUTER_HOME, SOURCE_A "01"),
        icmp6(MAC_ROUTER, MAC_A, A_HOME, ROUTER_HOME, 254, "8700000000000000" ROUTER_HOME),
        icmp6(MAC_ROUTER, MAC_A, A_HOME, ROUTER_HOME, 255, "8701000000000000" ROUTER_HOME),
        icmp6(MAC_ROUTER, MAC_A, A_HOME, ROUTER_HOME, 255, "8700000000000000 20000052"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        lab_refused(lab, 0, &bad[i], VNET_DROP_BAD_NDP);
    struct wire w = solicit(MAC_ROUTER, A_HOME, ROUTER_HOME, ROUTER_HOME, SOURCE_A);
    w.at[ICMP6 + 2] ^= 1;
    lab_refused(lab, 0, &w, VNET_DROP_BAD_ICMP);
    for (size_t n = 0; n < w.n; n++) {
        lab_send_part(lab, 0, &w, n);
        assert_int_equal(lab->count, 0);
    }
    w = solicit(MAC_ROUTER, A_HOME, ROUTER_HOME, ROUTER_HOME, "0101" MAC_ALL);
    lab_send(lab, 0, &w); // nobody's MAC: it is answered where it came from
    assert_hex(lab_answer(lab), 0, MAC_A MAC_ROUTER);
    w = solicit(MAC_ROUTER, A_HOME, ROUTER_HOME, ROUTER_HOME, "fd01000000000000" SOURCE_A);
    lab_send(lab, 0, &w); // an option that is not known is passed over (4.6)
    assert_int_equal(lab->count, 1);
}

// RFC 6980, even where the fragment is the whole.
static void fragmented_discovery_is_dropped(void **state)
{
    struct lab *lab = *state;
    struct wire w = solicit(MAC_ROUTER, A_HOME, ROUTER_HOME, ROUTER_HOME, SOURCE_A);
    memmove(w.at + ICMP6 + 8, w.at + ICMP6, w.n - ICMP6);
    memcpy(w.at + ICMP6, (uint8_t[]){58, 0, 0, 0, 1, 2, 3, 4}, 8);
    w.n += 8;
    set16(&w, IP6 + 4, (unsigned)w.n - ICMP6);
    w.at[IP6 + 6] = 44;
    lab_refused(lab, 0, &w, VNET_DROP_BAD_NDP);
}

// From the office to B, whose MAC the router does not know.
static void send_to_b(struct lab *lab)
{
    struct wire w = icmp6(MAC_OFFICE, MAC_C, C_OFFICE, B_HOME, 64, ECHO);
    lab_send(lab, 2, &w);
}

static void router_asks_for_a_neighbour(void **state)
{
    struct lab *lab = *state;
    send_to_b(lab);
    assert_int_equal(lab->count, 2); // everybody in "home" is asked
    assert_hex(&lab->out[0].frame, 0, "3333ff000b0b" MAC_ROUTER "86dd 60000000 0020 3a ff");
    assert_hex(&lab->out[0].frame, IP6 + 8, ROUTER_HOME "ff0200000000000000000001ff000b0b");
    assert_hex(&lab->out[0].frame, ICMP6, "8700");
    assert_hex(&lab->out[0].frame, ICMP6_BODY, "00000000" B_HOME "0101" MAC_ROUTER);

    struct wire w = advertise_b(MAC_ROUTER, ROUTER_HOME, "60000000", TARGET_B);
    lab_send(lab, 1, &w);
    assert_int_equal(lab->count, 1); // what waited
    assert_int_equal(lab->out[0].plug, 1);
    assert_hex(&lab->out[0].frame, 0, MAC_B MAC_ROUTER "86dd 60000000 000b 3a 3e" C_OFFICE B_HOME);
    send_to_b(lab);
    assert_int_equal(lab->count, 1);

    lab->now += 60ull * SECOND; // in use, and not heard of for long: asked alone, with no wait
    send_to_b(lab);
    assert_int_equal(lab->count, 2);
    assert_int_equal(lab->out[0].plug, 1);
    assert_hex(&lab->out[0].frame, 0,
               MAC_B MAC_ROUTER "86dd 60000000 0020 3a ff" ROUTER_HOME B_HOME);
    assert_hex(&lab->out[0].frame, ICMP6, "8700");
    w = advertise_b(MAC_ROUTER, ROUTER_HOME, "40000000", ""); // a MAC need not be told again
    lab_send(lab, 1, &w);
    lab->count = 0;
    lab6_pass(lab, lab->now + 10ull * SECOND);
    assert_int_equal(lab->count, 0);
}

static void nobody_there_is_told(void **state)
{
    struct lab *lab = *state;
    unsigned count;
    lab6_meet(lab, 2, MAC_C, C_OFFICE);
    send_to_b(lab);
    lab6_pass(lab, lab->now + 5ull * SECOND);
    lab6_said(lab, 0, 0x87, &count);
    assert_int_equal(count, 3);
    const struct wire *got = lab6_said(lab, 2, 1, &count);
    assert_int_equal(count, 1);
    assert_hex(got, IP6 + 8, ROUTER_HOME C_OFFICE "0103"); // address unreachable
    assert_hex(got, ICMP6_BODY, "00000000 60000000 000b 3a");
}

static const struct wire *to_b(struct lab *lab)
{
    send_to_b(lab);
    assert_true(lab->count > 0);
    return &lab->out[lab->count - 1].frame;
}

// RFC 4861, 7.2.3 and 7.2.5.
static void the_table_changes_as_it_should(void **state)
{
    struct lab *lab = *state;
    struct wire w = advertise_b(MAC_ALL_NODES, ALL_NODES, "20000000", TARGET_B);
    lab_send(lab, 1, &w); // nobody asked
    send_to_b(lab);
    assert_int_equal(lab->count, 2);
    w = solicit(MAC_GROUP_ROUTER, B_HOME, GROUP_ROUTER, ROUTER_HOME, "0101" MAC_B);
    memcpy(w.at + 6, (uint8_t[]){0x52, 0xcc, 0xcc, 0xcc, 0xcc, 2}, 6);
    lab_send(lab, 1, &w); // an asker tells where it is
    assert_hex(to_b(lab), 0, MAC_B MAC_ROUTER);
    w = advertise_b(MAC_ALL_NODES, ALL_NODES, "00000000", "0201" MAC_X); // without override
    lab_send(lab, 1, &w);
    assert_hex(to_b(lab), 0, MAC_B MAC_ROUTER);
    w = advertise_b(MAC_ALL_NODES, ALL_NODES, "20000000", "0201" MAC_X);
    lab_send(lab, 1, &w);
    assert_hex(to_b(lab), 0, MAC_X MAC_ROUTER);
}

// Whoever makes itself known under more addresses than the router remembers.
static void a_liar_pushes_out_its_own(void **state)
{
    struct lab *lab = *state;
    lab6_meet(lab, 1, MAC_B, B_HOME);
    send_to_b(lab); // B is in use now
    assert_int_equal(lab->count, 1);
    for (unsigned i = 0; i < 3000; i++) {
        char address[33];
        snprintf(address, sizeof address, "200000520000000000000000beef%04x", i);
        lab6_meet(lab, 0, MAC_A, address);
    }
    send_to_b(lab);
    assert_int_equal(lab->count, 1);
    assert_hex(&lab->out[0].frame, 0, MAC_B MAC_ROUTER);
    struct wire w = icmp6(MAC_OFFICE, MAC_C, C_OFFICE, A_HOME, 64, ECHO);
    lab_send(lab, 2, &w); // and others can be found
    assert_int_equal(lab->count, 2);
    w = icmp6(MAC_ROUTER, MAC_A, A_HOME, ROUTER_HOME, 255, "8800000060000000" A_HOME "0201" MAC_A);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1);
    assert_hex(&lab->out[0].frame, 0, MAC_A MAC_ROUTER);
}

static void bad_advertisements_are_dropped(void **state)
{
    struct lab *lab = *state;
    struct wire bad[] = {
        advertise_b(MAC_ALL_NODES, ALL_NODES, "60000000", TARGET_B), // solicited, by all?
        advertise_b(MAC_ROUTER, ROUTER_HOME, "60000000", "0200" MAC_B),
        advertise_b(MAC_ROUTER, ROUTER_HOME, "60000000", "0202" MAC_B),
        icmp6(MAC_ROUTER, MAC_B, B_HOME, ROUTER_HOME, 64, "8800000060000000" B_HOME TARGET_B),
        icmp6(MAC_ROUTER, MAC_B, B_HOME, ROUTER_HOME, 255, "8801000060000000" B_HOME TARGET_B),
        icmp6(MAC_ROUTER, MAC_B, B_HOME, ROUTER_HOME, 255, "8800000060000000" ALL_NODES TARGET_B),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        lab_refused(lab, 1, &bad[i], VNET_DROP_BAD_NDP);
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab6_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(router_answers_for_itself),
        LAB_TEST(router_defends_its_addresses),
        LAB_TEST(guests_discover_each_other),
        LAB_TEST(bad_solicitations_are_dropped),
        LAB_TEST(fragmented_discovery_is_dropped),
        LAB_TEST(router_asks_for_a_neighbour),
        LAB_TEST(nobody_there_is_told),
        LAB_TEST(the_table_changes_as_it_should),
        LAB_TEST(a_liar_pushes_out_its_own),
        LAB_TEST(bad_advertisements_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
