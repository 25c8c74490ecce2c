// Errors: how many, about what, and what they say.
#include "vnet-lab.h"

// A datagram to a port of the router's where nothing listens, of n bytes.
static struct wire probe(size_t n)
{
    struct wire payload = {.n = n};
    return udp(MAC_ROUTER, MAC_A, NODE_A, HOME, 4000, 33434, &payload);
}

static unsigned errors(struct lab *lab, unsigned packets)
{
    unsigned n = 0;
    const struct wire w = probe(4);
    for (unsigned i = 0; i < packets; i++) {
        lab_send(lab, 0, &w);
        n += lab->count;
    }
    return n;
}

static void errors_are_rationed(void **state)
{
    struct lab *lab = *state;
    lab_meet(lab);
    assert_int_equal(errors(lab, 200), 64);
    lab->now += SECOND / 100 - 1;
    assert_int_equal(errors(lab, 9), 0);
    lab->now += 1;
    assert_int_equal(errors(lab, 9), 1);
    lab->now += SECOND / 2;
    assert_int_equal(errors(lab, 200), 50);
    lab->now += 3600ull * SECOND;
    assert_int_equal(errors(lab, 200), 64);
    lab_meet(lab);

    const struct wire ping = ping_of(MAC_ROUTER, MAC_A, NODE_A, HOME, 4);
    lab_send(lab, 0, &ping);
    assert_int_equal(lab->count, 1);
    const struct wire far = udp(MAC_ROUTER, MAC_A, NODE_A, OFFICE, 4000, 9, &(struct wire){0});
    lab_send(lab, 0, &far); // another router's
    assert_int_equal(lab->count, 1);
}

static void errors_quote_what_fits(void **state)
{
    static const struct {
        size_t payload, answer;
    } sizes[] = {{0, 56}, {8, 64}, {519, 575}, {520, 576}, {521, 576}, {1400, 576}};
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct wire w = probe(sizes[i].payload);
        const struct wire *got = lab_told(lab, 0, &w, VNET_DROP_NO_PORT, 0x0303);
        assert_int_equal(got->n - 14, sizes[i].answer);
        assert_int_equal(number_at(got, 16, 2), sizes[i].answer);
        assert_hex(got, 0, MAC_A MAC_ROUTER "0800 45c0");
        assert_hex(got, 26, "c0a80001 c0a80065");
        assert_int_equal(number_at(got, 38, 4), 0);
        assert_memory_equal(got->at + 42, w.at + 14, got->n - 42);
        assert_int_equal(word_sum(got->at + 14, 20, 0), 0xffff);
        assert_int_equal(word_sum(got->at + 34, got->n - 34, 0), 0xffff);
    }
}

static void errors_have_none(void **state)
{
    static const uint8_t queries[] = {0, 8, 13, 14, 15, 16, 17, 18};
    struct lab *lab = *state;
    for (unsigned type = 0; type < 256; type++) {
        struct wire w = ping_of(MAC_ROUTER, MAC_A, NODE_A, 0x08080808, 4); // there is no route
        w.at[34] = (uint8_t)type;
        lab_send(lab, 0, &w);
        assert_int_equal(lab->count, memchr(queries, (int)type, sizeof queries) != NULL);
        assert_int_equal(lab_drops(lab, 0, VNET_DROP_NO_ROUTE), type + 1);
    }
    const struct wire empty = ipv4(MAC_ROUTER, MAC_A, NODE_A, 0x08080808, 1, &(struct wire){0});
    lab_send(lab, 0, &empty);
    assert_int_equal(lab->count, 0);
}

static void later_fragments_have_none(void **state)
{
    struct lab *lab = *state;
    struct wire w = ping_of(MAC_ROUTER, MAC_A, NODE_A, 0x08080808, 40);
    set16(&w, 20, 0x2000);
    seal_ipv4(&w);
    lab_told(lab, 0, &w, VNET_DROP_NO_ROUTE, 0x0300);
    set16(&w, 20, 0x2001);
    seal_ipv4(&w);
    lab_refused(lab, 0, &w, VNET_DROP_NO_ROUTE);
    set16(&w, 20, 0x0010);
    seal_ipv4(&w);
    lab_refused(lab, 0, &w, VNET_DROP_NO_ROUTE);
}

static void broadcasts_have_none(void **state)
{
    static const uint32_t groups[] = {UINT32_MAX, HOME | 255, 0xe0000001};
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct wire w = udp(MAC_ALL, MAC_A, NODE_A, groups[i], 4000, 9, &(struct wire){0});
        lab_send(lab, 0, &w);
        assert_int_equal(lab_answers(lab, 0), 0);
        w = ipv4(MAC_ROUTER, MAC_A, NODE_A, groups[i], 99, &(struct wire){0});
        lab_send(lab, 0, &w);
        assert_int_equal(lab->count, 0);
    }
    const struct wire w = udp(MAC_ALL, MAC_A, NODE_A, HOME, 4000, 9, &(struct wire){0});
    lab_refused(lab, 0, &w, VNET_DROP_LINK_BROADCAST);
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(errors_are_rationed),  LAB_TEST(errors_quote_what_fits),
        LAB_TEST(errors_have_none),     LAB_TEST(later_fragments_have_none),
        LAB_TEST(broadcasts_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
