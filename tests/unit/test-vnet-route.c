// Packets between networks, by way of their routers and the internet between them.
#include "vnet-lab.h"

#define PUBLIC 0x05000001u // a host of the internet

static struct wire to(uint32_t address, size_t n)
{
    return ping_of(MAC_ROUTER, MAC_A, NODE_A, address, n);
}

static void may_fragment(struct wire *w)
{
    w->at[20] = 0;
    seal_ipv4(w);
}

static void may_not_fragment(struct wire *w)
{
    w->at[20] = 0x40;
    seal_ipv4(w);
}

static void set_ttl(struct wire *w, unsigned ttl)
{
    w->at[22] = (uint8_t)ttl;
    seal_ipv4(w);
}

static void routers_pass_packets_on(void **state)
{
    struct lab *lab = *state;
    struct wire w = to(NODE_C, 33);
    lab_meet(lab);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1);
    const struct wire *got = &lab->out[0].frame;
    assert_int_equal(lab->out[0].plug, 3);
    assert_int_equal(got->n, w.n);
    assert_hex(got, 0, MAC_C MAC_OFFICE);
    assert_int_equal(got->at[22], 62); // two routers
    assert_int_equal(word_sum(got->at + 14, 20, 0), 0xffff);
    assert_memory_equal(got->at + 26, w.at + 26, w.n - 26);

    w = ping_of(MAC_OFFICE, MAC_C, NODE_C, NODE_A, 3); // and back
    w.n += 10;                                         // padding stays behind
    lab_send(lab, 3, &w);
    assert_int_equal(lab_answer(lab)->n, w.n - 10);
    assert_hex(lab_answer(lab), 0, MAC_A MAC_ROUTER);
    assert_int_equal(vnet_network_counters(lab->v, 0)->frames_out, 1);
    assert_int_equal(vnet_network_counters(lab->v, 0)->frames_in, 1);
}

static void routers_are_reached_from_elsewhere(void **state)
{
    struct lab *lab = *state;
    struct wire w = to(OFFICE, 5);
    lab_meet(lab);
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), 26, "0a020001 c0a80065 0000");
    assert_int_equal(lab_answer(lab)->at[22], 63);
}

static void each_router_says_when_time_is_up(void **state)
{
    struct lab *lab = *state;
    struct wire w = to(NODE_C, 30);
    lab_meet(lab);
    set_ttl(&w, 1);
    const struct wire *got = lab_told(lab, 0, &w, VNET_DROP_TTL, 0x0b00);
    assert_hex(got, 26, "c0a80001 c0a80065");
    assert_memory_equal(got->at + 42, w.at + 14, w.n - 14);
    set_ttl(&w, 2);
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), 26, "0a020001 c0a80065 0b00");
    set_ttl(&w, 3);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->out[0].plug, 3);
}

static void a_router_has_its_wan_address_to_the_outside(void **state)
{
    struct lab *lab = *state;
    struct err e;
    assert_int_equal(vnet_add_network(lab->v,
                                      &(struct vnet_network){.name = "third",
                                                             .router = 0x0a030001,
                                                             .prefix = 16,
                                                             .wan = 0x03000001,
                                                             .mtu = 1500,
                                                             .lease_seconds = 1},
                                      &e),
                     2);
    lab_meet(lab);
    struct wire w = to(0x0a030005, 4);
    set_ttl(&w, 2);
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), 26, "03000001 c0a80065 0b00");
    w = to(0x03000001, 4);
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), 26, "03000001 c0a80065 0000");
}

static void nobody_knows_the_way(void **state)
{
    static const uint32_t nowhere[] = {0x08080808, OFFICE | 0xffff, 0xf0000001};
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        struct wire w = to(nowhere[i], 4);
        const struct wire *got = lab_told(lab, 0, &w, VNET_DROP_NO_ROUTE, 0x0300);
        assert_hex(got, 26, "c0a80001 c0a80065");
    }
    assert_int_equal(vnet_network_counters(lab->v, 0)->frames_out, 0);
}

static void neighbours_are_reached_through_the_router(void **state)
{
    struct lab *lab = *state;
    struct wire w = to(NODE_B, 4);
    lab_meet(lab);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1);
    assert_int_equal(lab->out[0].plug, 1);
    assert_hex(&lab->out[0].frame, 0, MAC_B MAC_ROUTER);
    assert_int_equal(lab->out[0].frame.at[22], 63);
}

static void groups_stay_where_they_are(void **state)
{
    static const uint32_t groups[] = {UINT32_MAX, HOME | 255, 0xe0000001, 0xefffffff};
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct wire w = to(groups[i], 4);
        lab_send(lab, 0, &w);
        assert_int_equal(lab->count, 0);
    }
    assert_int_equal(vnet_network_counters(lab->v, 0)->frames_out, 0);
}

// An option of length n, of zeros, before the payload.
static void add_option(struct wire *w, unsigned kind, unsigned length)
{
    unsigned words = (length + 3) / 4;
    memmove(w->at + 34 + 4 * words, w->at + 34, w->n - 34);
    memset(w->at + 34, 0, 4 * words);
    w->at[34] = (uint8_t)kind;
    w->at[35] = (uint8_t)length;
    w->n += 4 * words;
    w->at[14] += (uint8_t)words;
    set16(w, 16, (unsigned)w->n - 14);
    seal_ipv4(w);
}

static void options_pass_unless_they_choose_the_way(void **state)
{
    struct lab *lab = *state;
    struct wire w = to(NODE_C, 4);
    lab_meet(lab);
    add_option(&w, 7, 11); // record route
    lab_send(lab, 0, &w);
    assert_int_equal(lab->out[0].plug, 3);
    assert_memory_equal(lab->out[0].frame.at + 34, w.at + 34, w.n - 34);
    static const uint8_t kinds[] = {131, 137};
    for (size_t i = 0; i < sizeof kinds; i++) {
        w = to(NODE_C, 4);
        add_option(&w, kinds[i], 7);
        lab_refused(lab, 0, &w, VNET_DROP_SOURCE_ROUTE);
        assert_int_equal(lab->count, 0);
        w = to(HOME, 4);
        add_option(&w, kinds[i], 7);
        lab_refused(lab, 0, &w, VNET_DROP_SOURCE_ROUTE);
    }
    w = to(NODE_C, 4);
    add_option(&w, 7, 8);
    w.at[35] = 0; // one that never ends
    seal_ipv4(&w);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1);
}

static void the_mtu_is_told(void **state)
{
    struct lab *lab = *state;
    lab_meet(lab);
    struct wire w = to(NODE_C, 1400 - 28);
    may_not_fragment(&w);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->out[0].plug, 3);
    w = to(NODE_C, 1401 - 28);
    may_not_fragment(&w);
    lab_send(lab, 0, &w); // the office's uplink
    assert_hex(lab_answer(lab), 26, "0a020001 c0a80065 0304");
    assert_hex(lab_answer(lab), 38, "0000 0578");
    assert_int_equal(vnet_network_counters(lab->v, 1)->drops[VNET_DROP_TOO_BIG], 1);
    w = to(NODE_C, 1501 - 28);
    may_not_fragment(&w);
    const struct wire *got = lab_told(lab, 0, &w, VNET_DROP_TOO_BIG, 0x0304); // its own
    assert_hex(got, 26, "c0a80001");
    assert_hex(got, 38, "0000 05dc");
}

static void large_packets_are_cut(void **state)
{
    static const size_t sizes[] = {1401 - 28, 1500 - 28, 1501 - 28, 4000, 9000};
    struct lab *lab = *state;
    struct wire got;
    lab_meet(lab);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct wire w = to(NODE_C, sizes[i]);
        may_fragment(&w);
        lab_send(lab, 0, &w);
        join(lab, 3, &got, 1400);
        assert_int_equal(got.n, w.n);
        assert_memory_equal(got.at + 34, w.at + 34, w.n - 34);
    }
}

static void fragments_keep_the_options_they_must(void **state)
{
    struct lab *lab = *state;
    struct wire w = to(NODE_C, 2000);
    struct wire got;
    lab_meet(lab);
    add_option(&w, 7, 8);    // record route: in the first only
    add_option(&w, 0x94, 4); // router alert: in each (RFC 2113)
    lab_send(lab, 0, &w);
    join(lab, 3, &got, 1400);
    assert_int_equal(got.n, w.n);
    assert_memory_equal(got.at + 34, w.at + 34, w.n - 34);
    assert_int_equal(lab->count, 3);
    assert_hex(&lab->out[0].frame, 14, "48");
    for (unsigned i = 1; i < lab->count; i++) {
        assert_hex(&lab->out[i].frame, 14, "46");
        assert_hex(&lab->out[i].frame, 34, "94040000");
    }
}

static void fragments_are_cut_again(void **state)
{
    struct lab *lab = *state;
    struct wire w = to(NODE_C, 1472);
    lab_meet(lab);
    set16(&w, 20, 0x2000 | 100); // in the middle
    seal_ipv4(&w);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 2);
    assert_hex(&lab->out[0].frame, 20, "2064");
    assert_hex(&lab->out[1].frame, 20, "2110"); // 100 + (1400 - 20) / 8, and more to come
    set16(&w, 20, 100);                         // the last
    seal_ipv4(&w);
    lab_send(lab, 0, &w);
    assert_hex(&lab->out[0].frame, 20, "2064");
    assert_hex(&lab->out[1].frame, 20, "0110");
    set16(&w, 20, 0x1fff); // beyond what a packet can be
    seal_ipv4(&w);
    lab_refused(lab, 0, &w, VNET_DROP_BAD_IPV4);
}

static void forged_sources_go_nowhere(void **state)
{
    static const uint32_t forged[] = {NODE_C, PUBLIC, 0x0a000001, HOME, HOME | 255, 0x00000001};
    struct lab *lab = *state;
    lab_meet(lab);
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        struct wire w = ping_of(MAC_ROUTER, MAC_A, forged[i], NODE_C, 4);
        lab_refused(lab, 0, &w, VNET_DROP_MARTIAN);
        assert_int_equal(lab->count, 0);
    }
}

static void hosts_of_the_internet_answer(void **state)
{
    struct lab *lab = *state;
    struct wire payload = {0};
    struct err e;
    assert_int_equal(vnet_add_host(lab->v, PUBLIC, NULL, &e), 0);
    lab_meet(lab);
    struct wire w = to(PUBLIC, 1000);
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), 26, "05000001 c0a80065 0000");
    assert_int_equal(lab_answer(lab)->n, w.n);
    assert_int_equal(lab_answer(lab)->at[22], 63);
    set_ttl(&w, 1);
    lab_told(lab, 0, &w, VNET_DROP_TTL, 0x0b00);
    set_ttl(&w, 2);
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), 26, "05000001 c0a80065 0000");

    w = udp(MAC_ROUTER, MAC_A, NODE_A, PUBLIC, 4000, 67, &payload);
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), 26, "05000001 c0a80065 0303");
    assert_memory_equal(lab_answer(lab)->at + 54, w.at + 26, 16);
    hex(&payload, "00000000");
    w = ipv4(MAC_ROUTER, MAC_A, NODE_A, PUBLIC, 132, &payload);
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), 26, "05000001 c0a80065 0302");
}

// A segment from port 5000 to 80.
static struct wire tcp(uint32_t to_address, const char *numbers_and_flags, size_t n)
{
    struct wire t = {0};
    hex(&t, "1388 0050");
    hex(&t, numbers_and_flags);
    hex(&t, "ffff 0000 0000");
    t.n += n;
    struct wire w = ipv4(MAC_ROUTER, MAC_A, NODE_A, to_address, 6, &t);
    uint32_t pseudo = 6 + (uint32_t)t.n + word_sum(w.at + 26, 8, 0);
    set16(&w, 50, ~word_sum(w.at + 34, w.n - 34, pseudo) & 0xffff);
    return w;
}

static void connections_are_refused(void **state)
{
    static const struct {
        const char *segment;
        size_t n;
        const char *answer;
    } cases[] = {
        {"00000064 00000000 5002", 0, "00000000 00000065 5014"}, // SYN
        {"00000064 00000000 5001", 7, "00000000 0000006c 5014"}, // FIN and data
        {"00000064 0000aaaa 5010", 9, "0000aaaa 00000000 5004"}, // ACK and data
        {"00000064 0000aaaa 5012", 0, "0000aaaa 00000000 5004"}, // SYN and ACK
    };
    static const uint32_t addresses[] = {HOME, PUBLIC, OFFICE};
    struct lab *lab = *state;
    struct err e;
    assert_int_equal(vnet_add_host(lab->v, PUBLIC, NULL, &e), 0);
    lab_meet(lab);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t k = 0; k < sizeof addresses / sizeof *addresses; k++) {
            struct wire w = tcp(addresses[k], cases[i].segment, cases[i].n);
            lab_send(lab, 0, &w);
            const struct wire *got = lab_answer(lab);
            assert_int_equal(got->n, 54);
            assert_int_equal(number_at(got, 26, 4), addresses[k]);
            assert_hex(got, 34, "0050 1388");
            assert_hex(got, 38, cases[i].answer);
            uint32_t pseudo = 6 + 20 + word_sum(got->at + 26, 8, 0);
            assert_int_equal(word_sum(got->at + 34, 20, pseudo), 0xffff);
        }
    }
}

static void resets_and_bad_segments_have_no_answer(void **state)
{
    struct lab *lab = *state;
    struct wire w = tcp(HOME, "00000064 00000000 5004", 0);
    lab_refused(lab, 0, &w, VNET_DROP_NO_PORT);
    w = tcp(HOME, "00000064 00000000 5014", 0);
    lab_refused(lab, 0, &w, VNET_DROP_NO_PORT);
    w.at[40] ^= 1;
    lab_refused(lab, 0, &w, VNET_DROP_BAD_TCP);
    w = tcp(HOME, "00000064 00000000 4002", 0); // a header too short
    lab_refused(lab, 0, &w, VNET_DROP_BAD_TCP);
    w = tcp(HOME, "00000064 00000000 6002", 0); // longer than the segment
    lab_refused(lab, 0, &w, VNET_DROP_BAD_TCP);
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(routers_pass_packets_on),
        LAB_TEST(routers_are_reached_from_elsewhere),
        LAB_TEST(each_router_says_when_time_is_up),
        LAB_TEST(a_router_has_its_wan_address_to_the_outside),
        LAB_TEST(nobody_knows_the_way),
        LAB_TEST(neighbours_are_reached_through_the_router),
        LAB_TEST(groups_stay_where_they_are),
        LAB_TEST(options_pass_unless_they_choose_the_way),
        LAB_TEST(the_mtu_is_told),
        LAB_TEST(large_packets_are_cut),
        LAB_TEST(fragments_keep_the_options_they_must),
        LAB_TEST(fragments_are_cut_again),
        LAB_TEST(forged_sources_go_nowhere),
        LAB_TEST(hosts_of_the_internet_answer),
        LAB_TEST(connections_are_refused),
        LAB_TEST(resets_and_bad_segments_have_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
