// IPv4, ICMP and UDP at the router: what it checks, what it answers.
#include "vnet-lab.h"

static struct wire ping_from(const char *to_mac, uint32_t from, uint32_t to)
{
    struct wire icmp = {0};
    hex(&icmp, "0800 0000 abcd 0001 6869 2121 2e"); // an odd length
    set16(&icmp, 2, ~word_sum(icmp.at, icmp.n, 0) & 0xffff);
    return ipv4(to_mac, MAC_A, from, to, 1, &icmp);
}

static struct wire ping(void)
{
    return ping_from(MAC_ROUTER, NODE_A, HOME);
}

static struct wire datagram(unsigned port)
{
    struct wire payload = {0};
    hex(&payload, "010203");
    return udp(MAC_ROUTER, MAC_A, NODE_A, HOME, 4000, port, &payload);
}

static void router_answers_pings(void **state)
{
    struct lab *lab = *state;
    struct wire w = ping();
    for (int i = 0; i < 1000; i++) // without a limit
        lab_send(lab, 0, &w);
    const struct wire *got = lab_answer(lab);
    assert_int_equal(got->n, w.n);
    assert_hex(got, 0, MAC_A MAC_ROUTER "0800 4500 0021 0000 4000 40 01");
    assert_hex(got, 26, "c0a80001 c0a80065 0000");
    assert_hex(got, 38, "abcd 0001 6869 2121 2e");
    assert_int_equal(word_sum(got->at + 14, 20, 0), 0xffff);
    assert_int_equal(word_sum(got->at + 34, got->n - 34, 0), 0xffff);
    assert_int_equal(vnet_counters(lab->v, 0)->frames_out, 1000);
}

static void padding_and_options_are_fine(void **state)
{
    struct lab *lab = *state;
    struct wire w = ping();
    w.n += 13;
    lab_send(lab, 0, &w);
    assert_int_equal(lab_answer(lab)->n, w.n - 13);

    struct wire options = ping();
    memmove(options.at + 38, options.at + 34, options.n - 34);
    memcpy(options.at + 34, "\1\1\1\0", 4);
    options.n += 4;
    options.at[14] = 0x46;
    set16(&options, 16, (unsigned)options.n - 14);
    seal_ipv4(&options);
    lab_send(lab, 0, &options);
    assert_int_equal(lab_answer(lab)->n, options.n - 4);
}

static void no_part_of_a_packet_is_answered(void **state)
{
    struct lab *lab = *state;
    struct wire kinds[] = {ping(), datagram(67), datagram(9)};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (size_t n = 0; n < kinds[k].n; n++) {
            lab_send_part(lab, 0, &kinds[k], n);
            assert_int_equal(lab->count, 0);
        }
        for (size_t n = 20; n < kinds[k].n - 14; n++) { // the same with a header that fits
            struct wire cut = kinds[k];
            set16(&cut, 16, (unsigned)n);
            seal_ipv4(&cut);
            lab_send_part(lab, 0, &cut, n + 14);
            assert_int_equal(lab->count, 0);
        }
    }
}

static void bad_headers_are_dropped(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{14, 0x55}, {14, 0x44}, {14, 0x40}, {14, 0x4f}, {16, 0xff}, {17, 19}, {17, 0}};
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct wire w = ping();
        w.at[bad[i].at] = bad[i].value;
        seal_ipv4(&w);
        lab_refused(lab, 0, &w, VNET_DROP_BAD_IPV4);
    }
    struct wire w = ping();
    w.at[24] ^= 1;
    lab_refused(lab, 0, &w, VNET_DROP_BAD_IPV4);
}

static void impossible_addresses_are_dropped(void **state)
{
    static const struct {
        uint32_t from, to;
    } martians[] = {
        {0, HOME},          {HOME, HOME},       {0x7f000001, HOME}, {NODE_A, 0x7f000001},
        {0xe0000001, HOME}, {UINT32_MAX, HOME}, {HOME | 255, HOME}, {NODE_A, 0},
        {0xf0000001, HOME}, {0, 0x08080808},    {OFFICE, HOME},     {OFFICE, 0x08080808},
    };
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof martians / sizeof *martians; i++) {
        struct wire w = ping_from(MAC_ROUTER, martians[i].from, martians[i].to);
        lab_refused(lab, 0, &w, VNET_DROP_MARTIAN);
    }
}

static void what_has_arrived_needs_no_time_to_live(void **state)
{
    struct lab *lab = *state;
    struct wire w = ping();
    w.at[22] = 0; // used up, but it has arrived (RFC 1122, 3.2.1.7)
    seal_ipv4(&w);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1);
}

static void broadcasts_are_not_answered(void **state)
{
    static const uint32_t to[] = {UINT32_MAX, HOME | 255, 0xe0000001};
    struct lab *lab = *state;
    struct wire w;
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        w = ping_from(MAC_ALL, NODE_A, to[i]);
        lab_send(lab, 0, &w);
        assert_int_equal(lab->count, 2);
        assert_int_equal(lab_answers(lab, 0), 0);
    }
    w = ping_from(MAC_ALL, NODE_A, HOME);
    lab_refused(lab, 0, &w, VNET_DROP_LINK_BROADCAST);
}

static void only_echo_requests_are_answered(void **state)
{
    struct lab *lab = *state;
    for (unsigned type = 0; type < 256; type++) {
        struct wire w = ping();
        w.at[34] = (uint8_t)type;
        set16(&w, 36, 0);
        set16(&w, 36, ~word_sum(w.at + 34, w.n - 34, 0) & 0xffff);
        lab_send(lab, 0, &w);
        assert_int_equal(lab->count, type == 8);
    }
    struct wire w = ping();
    w.at[36] ^= 1;
    lab_refused(lab, 0, &w, VNET_DROP_BAD_ICMP);
}

static void unknown_protocols_are_told(void **state)
{
    struct lab *lab = *state;
    struct wire w = ping();
    w.at[23] = 99;
    seal_ipv4(&w);
    lab_told(lab, 0, &w, VNET_DROP_NO_PROTOCOL, 0x0302);
}

static void udp_is_checked(void **state)
{
    struct lab *lab = *state;
    struct wire w = datagram(9);
    lab_told(lab, 0, &w, VNET_DROP_NO_PORT, 0x0303);
    w.at[42] ^= 1;
    lab_refused(lab, 0, &w, VNET_DROP_BAD_UDP);
    set16(&w, 40, 0); // none
    lab_told(lab, 0, &w, VNET_DROP_NO_PORT, 0x0303);
    for (unsigned length = 0; length < 8; length++) {
        set16(&w, 38, length);
        lab_refused(lab, 0, &w, VNET_DROP_BAD_UDP);
    }
    set16(&w, 38, 12);
    lab_refused(lab, 0, &w, VNET_DROP_BAD_UDP);
    w = datagram(67); // no DHCP message
    lab_refused(lab, 0, &w, VNET_DROP_BAD_DHCP);
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(router_answers_pings),
        LAB_TEST(padding_and_options_are_fine),
        LAB_TEST(no_part_of_a_packet_is_answered),
        LAB_TEST(bad_headers_are_dropped),
        LAB_TEST(impossible_addresses_are_dropped),
        LAB_TEST(what_has_arrived_needs_no_time_to_live),
        LAB_TEST(broadcasts_are_not_answered),
        LAB_TEST(only_echo_requests_are_answered),
        LAB_TEST(unknown_protocols_are_told),
        LAB_TEST(udp_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
