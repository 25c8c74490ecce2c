// Router advertisements: when they come, and what they say.
#include "vnet-lab6.h"

#define MS (SECOND / 1000)
#define SOLICIT "8500000000000000"
#define OPTIONS (ICMP6 + 16)

static struct wire solicit(const char *from, const char *options)
{
    char message[128];
    snprintf(message, sizeof message, SOLICIT "%s", options);
    return icmp6(MAC_ALL_ROUTERS, MAC_A, from, ALL_ROUTERS, 255, message);
}

// When the next advertisement comes to plug 0, in `lab->now`; what it is.
static const struct wire *next(struct lab *lab)
{
    unsigned count = 0;
    const struct wire *got = NULL;
    for (lab->count = 0; count == 0; got = lab6_said(lab, 0, 134, &count)) {
        lab->now = vnet_next(lab->v);
        assert_true(lab->now != VNET_NEVER);
        lab->count = 0;
        vnet_advance(lab->v, lab->now);
    }
    return got;
}

static uint64_t next_after(struct lab *lab)
{
    uint64_t before = lab->now;
    next(lab);
    return lab->now - before;
}

static void the_first_come_soon_and_others_later(void **state)
{
    struct lab lab;
    uint64_t least = VNET_NEVER;
    uint64_t most = 0;
    (void)state;
    lab6_make(&lab, &lab6_home);
    assert_in_range(next_after(&lab), 0, 500 * MS);
    assert_in_range(next_after(&lab), 3ull * SECOND, 16ull * SECOND);
    assert_in_range(next_after(&lab), 3ull * SECOND, 16ull * SECOND);
    assert_in_range(lab.now, SECOND, 17ull * SECOND); // all of them within 16 s
    for (int i = 0; i < 100; i++) {
        uint64_t interval = next_after(&lab);
        assert_in_range(interval, 198ull * SECOND, 600ull * SECOND);
        least = interval < least ? interval : least;
        most = interval > most ? interval : most;
    }
    assert_true(least < 240ull * SECOND && most > 560ull * SECOND);
    vnet_free(lab.v);
}

static void the_interval_can_be_chosen(void **state)
{
    struct vnet_network home = lab6_home;
    struct lab lab;
    (void)state;
    home.ra_seconds = 5;
    lab6_make(&lab, &home);
    for (int i = 0; i < 3; i++)
        next(&lab);
    for (int i = 0; i < 10; i++)
        assert_int_equal(next_after(&lab), 5ull * SECOND);
    vnet_free(lab.v);
}

static void it_says_what_a_guest_needs(void **state)
{
    struct lab *lab = *state;
    const struct wire *got = next(lab);
    assert_hex(got, 0, MAC_ALL_NODES MAC_ROUTER "86dd");
    assert_int_equal(got->at[IP6 + 7], 255);
    assert_hex(got, IP6 + 8, ROUTER_LOCAL ALL_NODES "8600");
    assert_hex(got, ICMP6_BODY, "40 00 0708 00000000 00000000");
    assert_hex(got, OPTIONS, "0101" MAC_ROUTER);
    assert_hex(got, OPTIONS + 8,
               "0304 40 c0 00015180 00003840 00000000"
               "20000052000000000000000000000000");
    assert_hex(got, OPTIONS + 40, "0501 0000 000005dc");
    assert_hex(got, OPTIONS + 48, "1903 0000 00000708" ROUTER_HOME);
    assert_hex(got, OPTIONS + 72, "1f03 0000 00000708 03 6c6162 04 74657374 00 000000000000");
    assert_int_equal(got->n, OPTIONS + 96);
}

static void domains_of_all_lengths_fit(void **state)
{
    char domain[254] = "";
    (void)state;
    for (size_t n = 1; n <= 246; n++) {
        struct vnet_network home = lab6_home;
        struct lab lab;
        memset(domain, 'x', n);
        for (size_t dot = 62; dot + 1 < n; dot += 63)
            domain[dot] = '.';
        home.domain = domain;
        lab6_make(&lab, &home);
        const struct wire *got = next(&lab);
        size_t at = OPTIONS + 72;
        assert_int_equal(got->at[at + 1], (n + 2 + 8 + 7) / 8);
        assert_int_equal(got->n, at + got->at[at + 1] * 8u);
        for (at += 8; got->at[at] != 0; at += got->at[at] + 1u)
            assert_in_range(got->at[at], 1, 63);
        assert_int_equal(at, OPTIONS + 80 + n + 1);
        vnet_free(lab.v);
    }
}

static void flags_are_the_labs(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 4; flags++) {
        struct vnet_network home = lab6_home;
        struct lab lab;
        home.ra_managed = flags & 2;
        home.ra_other = flags & 1;
        home.domain = NULL;
        lab6_make(&lab, &home);
        const struct wire *got = next(&lab);
        assert_int_equal(got->at[ICMP6_BODY + 1], flags << 6);
        assert_int_equal(got->n, OPTIONS + 72);
        vnet_free(lab.v);
    }
}

static void who_asks_is_answered_alone(void **state)
{
    struct lab *lab = *state;
    struct wire w = solicit(A_LOCAL, "0101" MAC_A);
    uint64_t least = VNET_NEVER;
    uint64_t most = 0;
    for (int i = 0; i < 50; i++) {
        lab_send(lab, 0, &w);
        assert_int_equal(lab->count, 1); // the other guest saw the question
        uint64_t delay = next_after(lab);
        assert_int_equal(lab->count, 1);
        assert_hex(lab_answer(lab), 0, MAC_A MAC_ROUTER);
        assert_hex(lab_answer(lab), IP6 + 8, ROUTER_LOCAL A_LOCAL "8600");
        assert_in_range(delay, 0, 500 * MS);
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    assert_true(least < 100 * MS && most > 400 * MS);
}

static void who_has_no_address_is_answered_with_all(void **state)
{
    struct lab *lab = *state;
    struct wire w = solicit(NOBODY, "");
    next(lab);
    uint64_t last = lab->now;
    lab_send(lab, 0, &w);
    for (int i = 0; i < 20; i++) { // at once, and not more often than every 3 s
        lab->now += 30 * MS;
        lab_send(lab, 0, &w);
    }
    assert_hex(next(lab), 0, MAC_ALL_NODES MAC_ROUTER);
    assert_in_range(lab->now - last, 3ull * SECOND, 3500 * MS);
    assert_in_range(next_after(lab), 198ull * SECOND, 600ull * SECOND); // once for all of them

    lab->now += 100ull * SECOND;
    vnet_advance(lab->v, lab->now);
    lab_send(lab, 0, &w);
    assert_in_range(next_after(lab), 0, 500 * MS);
}

static void a_flood_is_bounded(void **state)
{
    struct lab *lab = *state;
    struct wire w = solicit(A_LOCAL, "");
    for (int i = 0; i < 1000; i++)
        lab_send(lab, 0, &w);
    assert_int_equal(lab_drops(lab, 0, VNET_DROP_QUEUE_FULL), 1000 - 64);
}

static void bad_solicitations_are_dropped(void **state)
{
    struct lab *lab = *state;
    struct wire bad[] = {
        solicit(NOBODY, "0101" MAC_A),
        solicit(A_LOCAL, "0100" MAC_A),
        solicit(A_LOCAL, "0102" MAC_A),
        icmp6(MAC_ALL_ROUTERS, MAC_A, A_LOCAL, ALL_ROUTERS, 254, SOLICIT),
        icmp6(MAC_ALL_ROUTERS, MAC_A, A_LOCAL, ALL_ROUTERS, 255, "8501000000000000"),
        icmp6(MAC_ALL_ROUTERS, MAC_A, A_LOCAL, ALL_ROUTERS, 255, "85000000000000"),
    };
    uint64_t next_one = vnet_next(lab->v);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        lab_refused(lab, 0, &bad[i], VNET_DROP_BAD_NDP);
    assert_true(vnet_next(lab->v) == next_one);
}

static void networks_of_ipv4_have_none(void **state)
{
    struct lab *lab = *state;
    struct wire w = solicit(A_LOCAL, "");
    lab_send(lab, 3, &w);
    for (unsigned plug = 0; plug < 3; plug++)
        vnet_remove_plug(lab->v, plug);
    assert_true(vnet_next(lab->v) == VNET_NEVER);
    assert_int_equal(lab->count, 0);
}

static void nobody_hears_them_and_none_is_sent(void **state)
{
    struct lab *lab = *state;
    struct wire w = solicit(A_LOCAL, "");
    struct err e;
    vnet_remove_plug(lab->v, 2);
    lab_send(lab, 0, &w); // an answer is on its way
    vnet_remove_plug(lab->v, 1);
    assert_true(vnet_next(lab->v) != VNET_NEVER);
    vnet_remove_plug(lab->v, 0);
    assert_true(vnet_next(lab->v) == VNET_NEVER);
    assert_int_equal(vnet_add_plug(lab->v, &(struct vnet_plug){"again", 0}, &e), 0);
    assert_in_range(next_after(lab), 0, 500 * MS);
}

// As when the machine slept.
static void what_was_missed_is_not_caught_up(void **state)
{
    struct lab *lab = *state;
    lab->now += 1000000ull * SECOND;
    vnet_advance(lab->v, lab->now);
    assert_int_equal(lab->count, 3); // at three plugs
    assert_in_range(next_after(lab), 198ull * SECOND, 600ull * SECOND);
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab6_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_come_soon_and_others_later),
        cmocka_unit_test(the_interval_can_be_chosen),
        LAB_TEST(it_says_what_a_guest_needs),
        cmocka_unit_test(domains_of_all_lengths_fit),
        cmocka_unit_test(flags_are_the_labs),
        LAB_TEST(who_asks_is_answered_alone),
        LAB_TEST(who_has_no_address_is_answered_with_all),
        LAB_TEST(a_flood_is_bounded),
        LAB_TEST(bad_solicitations_are_dropped),
        LAB_TEST(networks_of_ipv4_have_none),
        LAB_TEST(nobody_hears_them_and_none_is_sent),
        LAB_TEST(what_was_missed_is_not_caught_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
