// IPv6 and ICMPv6 at the router: what it checks, answers, forwards and refuses.
#include "vnet-lab6.h"

static const struct wire *error_at(const struct lab *lab, unsigned plug, const char *type_code)
{
    unsigned count;
    struct wire type = {0};
    hex(&type, type_code);
    const struct wire *got = lab6_said(lab, plug, type.at[0], &count);
    assert_int_equal(count, 1);
    assert_hex(got, ICMP6, type_code);
    return got;
}

// Refused for this reason, and told.
static const struct wire *told(struct lab *lab, const struct wire *w, enum vnet_drop why,
                               const char *type_code)
{
    uint64_t before = lab_drops(lab, 0, why);
    lab_send(lab, 0, w);
    assert_int_equal(lab_drops(lab, 0, why), before + 1);
    return error_at(lab, 0, type_code);
}

static void router_answers_pings(void **state)
{
    static const char *const own[] = {ROUTER_LOCAL, ROUTER_HOME};
    static const char *const from[] = {A_LOCAL, A_HOME};
    struct lab *lab = *state;
    for (int i = 0; i < 1000; i++) { // without a limit
        struct wire w = echo6(MAC_ROUTER, from[i & 1], own[i >> 1 & 1]);
        lab_send(lab, 0, &w);
        const struct wire *got = lab_answer(lab);
        assert_int_equal(got->n, w.n);
        assert_hex(got, 0, MAC_A MAC_ROUTER "86dd 60000000 000b 3a 40");
        assert_hex(got, IP6 + 8, own[i >> 1 & 1]);
        assert_hex(got, IP6 + 24, from[i & 1]);
        assert_hex(got, ICMP6, "8100");
        assert_hex(got, ICMP6_BODY, "abcd0001 686921");
    }
}

// natlab floods it; RFC 4443, 4.2 has every node answer.
static void a_ping_to_all_is_flooded_and_answered(void **state)
{
    static const char *const from[] = {A_LOCAL, A_HOME};
    static const char *const answer[] = {ROUTER_LOCAL, ROUTER_HOME};
    struct lab *lab = *state;
    for (int i = 0; i < 2; i++) {
        struct wire w = echo6(MAC_ALL_NODES, from[i], ALL_NODES);
        lab_send(lab, 0, &w);
        assert_int_equal(lab_answers(lab, 1), 1);
        assert_hex(lab_answer(lab), 0, MAC_A MAC_ROUTER);
        assert_hex(lab_answer(lab), IP6 + 8, answer[i]);
        assert_int_equal(lab->count, 2);
        w = echo6("3333000000fb", from[i], "ff0200000000000000000000000000fb");
        lab_send(lab, 0, &w); // not its group
        assert_int_equal(lab->count, 1);
    }
}

static void padding_is_fine(void **state)
{
    struct lab *lab = *state;
    struct wire w = echo6(MAC_ROUTER, A_HOME, ROUTER_HOME);
    w.n += 13;
    lab_send(lab, 0, &w);
    assert_int_equal(lab_answer(lab)->n, w.n - 13);
}

static void bad_headers_are_dropped(void **state)
{
    struct lab *lab = *state;
    struct wire w = echo6(MAC_ROUTER, A_HOME, ROUTER_HOME);
    for (size_t n = 0; n < w.n; n++) {
        lab_send_part(lab, 0, &w, n);
        assert_int_equal(lab->count, 0);
    }
    w.at[IP6] = 0x40;
    lab_refused(lab, 0, &w, VNET_DROP_BAD_IPV6);
    w.at[IP6] = 0x60;
    set16(&w, IP6 + 4, 0);
    lab_refused(lab, 0, &w, VNET_DROP_BAD_IPV6);
    set16(&w, IP6 + 4, (unsigned)w.n - ICMP6 + 1);
    lab_refused(lab, 0, &w, VNET_DROP_BAD_IPV6);
    w = echo6(MAC_ROUTER, A_HOME, ROUTER_HOME);
    w.at[ICMP6 + 2] ^= 1;
    lab_refused(lab, 0, &w, VNET_DROP_BAD_ICMP);
    w = icmp6(MAC_ROUTER, MAC_A, A_HOME, ROUTER_HOME, 64, "80000000 abcd00");
    lab_refused(lab, 0, &w, VNET_DROP_BAD_ICMP);
    w = echo6(MAC_ALL, A_HOME, ROUTER_HOME);
    lab_refused(lab, 0, &w, VNET_DROP_LINK_BROADCAST);
    w = echo6(MAC_ALL_NODES, NOBODY, ALL_NODES);
    lab_refused(lab, 0, &w, VNET_DROP_MARTIAN);
}

static void impossible_addresses_are_dropped(void **state)
{
    static const char *const martians[][2] = {
        {NOBODY, ROUTER_HOME},
        {NOBODY, B_HOME},
        {ALL_NODES, ROUTER_HOME},
        {"00000000000000000000000000000001", ROUTER_HOME},
        {"00000000000000000000ffff01020304", ROUTER_HOME},
        {A_HOME, NOBODY},
        {A_HOME, "00000000000000000000000000000001"},
        {C_OFFICE, ROUTER_HOME}, // another network's
        {C_OFFICE, INTERNET_HOST},
        {ROUTER_HOME, ROUTER_LOCAL},
        {ROUTER_LOCAL, ROUTER_HOME},
    };
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof martians / sizeof *martians; i++) {
        struct wire w = echo6(MAC_ROUTER, martians[i][0], martians[i][1]);
        lab_refused(lab, 0, &w, VNET_DROP_MARTIAN);
    }
}

// Behind headers, given in hexadecimal, of which the first is of this kind.
static struct wire behind(const char *to, unsigned first, const char *headers)
{
    struct wire payload = {0};
    hex(&payload, headers);
    struct wire ping = echo6(MAC_ROUTER, A_HOME, to);
    memcpy(payload.at + payload.n, ping.at + ICMP6, ping.n - ICMP6);
    payload.n += ping.n - ICMP6;
    return ip6(MAC_ROUTER, MAC_A, A_HOME, to, first, 64, &payload);
}

#define PAD "010400000000"

static void known_headers_are_passed_over(void **state)
{
    static const struct {
        unsigned first;
        const char *headers;
    } fine[] = {
        {0, "3a00" PAD},
        {60, "3a00" PAD},
        {60, "3a00 000000000000"},
        {0, "3a00 05020000 0100"},  // router alert
        {0, "3a00 1e0400000000"},   // unknown, "skip"
        {43, "3a00 0000 00000000"}, // a routing header, used up
        {44, "3a00 0000 12345678"}, // a fragment that is the whole (RFC 6946)
        {0, "3c00" PAD "2b00" PAD "2c00000000000000 3c00000012345678 3a00" PAD},
    };
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        struct wire w = behind(ROUTER_HOME, fine[i].first, fine[i].headers);
        lab_send(lab, 0, &w);
        assert_hex(lab_answer(lab), ICMP6, "8100");
        assert_hex(lab_answer(lab), ICMP6_BODY, "abcd0001 686921");
    }
}

static void bad_extensions_are_refused(void **state)
{
    static const struct {
        unsigned first;
        const char *headers;
        const char *type_code; // NULL: nobody is told
        uint32_t at;
    } bad[] = {
        {60, "3a00 4104 00000000", NULL, 0},     // "drop"
        {60, "3a00 8104 00000000", "0402", 42},  // "drop and tell"
        {60, "3a00 c104 00000000", "0402", 42},  // "and tell, unless to a group"
        {0, "3a00 c204 00010000", "0402", 42},   // a jumbogram
        {60, "3a00 0105 00000000", NULL, 0},     // beyond the header
        {60, "3a00 0103000000 01", NULL, 0},     // half an option
        {60, "0000" PAD "3a00" PAD, "0401", 40}, // hop-by-hop, not the first
        {43, "3a00 0001 00000000", "0400", 42},  // RFC 5095
        {43, "3a00 0401 00000000", "0400", 42},  // segment routing
        {132, "", "0401", 6},                    // SCTP
        {60, "8400" PAD, "0401", 40},
        {60, "3aff" PAD, NULL, 0}, // longer than the packet
    };
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct wire w = behind(ROUTER_HOME, bad[i].first, bad[i].headers);
        lab_send(lab, 0, &w);
        unsigned count;
        const struct wire *got = lab6_said(lab, 0, 4, &count);
        assert_int_equal(count, bad[i].type_code != NULL);
        assert_int_equal(lab->count, count);
        if (!got)
            continue;
        assert_hex(got, ICMP6, bad[i].type_code);
        if (bad[i].at)
            assert_int_equal(number_at(got, ICMP6_BODY, 4), bad[i].at);
    }
}

static void headers_have_a_bound(void **state)
{
    char headers[9 * 16 + 1] = "";
    struct lab *lab = *state;
    for (int i = 1; i <= 9; i++) {
        snprintf(headers + (i - 1) * 16, 17, "3a00" PAD);
        for (int k = 0; k < i - 1; k++)
            memcpy(headers + k * 16, "3c", 2);
        struct wire w = behind(ROUTER_HOME, 60, headers);
        lab_send(lab, 0, &w);
        assert_int_equal(lab->count, i <= 8);
    }
    assert_int_equal(lab_drops(lab, 0, VNET_DROP_BAD_IPV6), 1);
}

static void errors_are_as_long_as_they_may_be(void **state)
{
    struct lab *lab = *state;
    struct wire payload = {.n = 1400};
    struct wire w = ip6(MAC_ROUTER, MAC_A, A_HOME, ROUTER_HOME, 132, 64, &payload);
    const struct wire *got = told(lab, &w, VNET_DROP_NO_PROTOCOL, "0401");
    assert_int_equal(got->n, 14 + 1280);
    assert_memory_equal(got->at + ICMP6 + 8, w.at + IP6, 1280 - 48);
    payload.n = 3;
    w = ip6(MAC_ROUTER, MAC_A, A_LOCAL, ROUTER_LOCAL, 132, 64, &payload);
    got = told(lab, &w, VNET_DROP_NO_PROTOCOL, "0401");
    assert_hex(got, IP6 + 8, ROUTER_LOCAL A_LOCAL);
    assert_int_equal(got->n, ICMP6 + 8 + 43);
}

static void errors_are_limited(void **state)
{
    struct lab *lab = *state;
    struct wire payload = {.n = 3};
    struct wire w = ip6(MAC_ROUTER, MAC_A, A_HOME, ROUTER_HOME, 132, 64, &payload);
    unsigned errors = 0;
    for (int i = 0; i < 1000; i++, errors += lab->count)
        lab_send(lab, 0, &w);
    assert_int_equal(errors, 64);
    for (int i = 0; i < 1000; i++, errors += lab->count) {
        lab->now += SECOND / 1000;
        lab_send(lab, 0, &w);
    }
    assert_in_range(errors, 64 + 99, 64 + 101);
}

// RFC 4443, 2.4 (e).
static void some_are_never_told(void **state)
{
    struct lab *lab = *state;
    struct wire quiet[] = {
        icmp6(MAC_ROUTER, MAC_A, A_HOME, "20990000000000000000000000000001", 64,
              "01000000 00000000"), // an error
        icmp6(MAC_ROUTER, MAC_A, A_HOME, "20990000000000000000000000000001", 64,
              "89000000 00000000"), // a redirect
    };
    for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++)
        lab_refused(lab, 0, &quiet[i], VNET_DROP_NO_ROUTE);
    struct wire payload = {.n = 3};
    struct wire w = ip6(MAC_ALL_NODES, MAC_A, A_HOME, ALL_NODES, 132, 64, &payload);
    lab_send(lab, 0, &w);
    assert_int_equal(lab_answers(lab, 0), 0);
    struct wire option = {0};
    hex(&option, "3a00 8104 00000000 8000000000000000");
    w = ip6(MAC_ALL_NODES, MAC_A, A_HOME, ALL_NODES, 60, 64, &option);
    told(lab, &w, VNET_DROP_BAD_IPV6, "0402"); // this, of all
    w.at[ICMP6 + 2] = 0xc1;
    lab_refused(lab, 0, &w, VNET_DROP_BAD_IPV6);
}

static struct wire datagram(const char *to)
{
    struct wire payload = {0};
    hex(&payload, "0fa0 0009 000b 0000 010203");
    return ip6(MAC_ROUTER, MAC_A, A_HOME, to, 17, 64, &payload);
}

static void ports_are_closed(void **state)
{
    struct lab *lab = *state;
    struct wire w = datagram(ROUTER_HOME);
    lab_refused(lab, 0, &w, VNET_DROP_BAD_UDP); // no checksum
    set16(&w, ICMP6 + 6, ~sum6(&w) & 0xffff);
    told(lab, &w, VNET_DROP_NO_PORT, "0104");
    w.at[ICMP6 + 3] = 67; // the DHCP server is IPv4's
    set16(&w, ICMP6 + 6, 0);
    set16(&w, ICMP6 + 6, ~sum6(&w) & 0xffff);
    told(lab, &w, VNET_DROP_NO_PORT, "0104");
    for (unsigned length = 0; length < 8; length++) {
        set16(&w, ICMP6 + 4, length);
        lab_refused(lab, 0, &w, VNET_DROP_BAD_UDP);
    }
}

static struct wire segment(const char *to, const char *flags)
{
    struct wire tcp = {0};
    hex(&tcp, "0fa0 0050 00000007 00000009 50");
    hex(&tcp, flags);
    hex(&tcp, "1000 0000 0000 6869");
    struct wire w = ip6(MAC_ROUTER, MAC_A, A_HOME, to, 6, 64, &tcp);
    set16(&w, ICMP6 + 16, ~sum6(&w) & 0xffff);
    return w;
}

static void connections_are_reset(void **state)
{
    struct lab *lab = *state;
    struct wire w = segment(ROUTER_HOME, "02");
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), IP6 + 8, ROUTER_HOME A_HOME "0050 0fa0 00000000 0000000a 50 14");
    assert_int_equal(lab_answer(lab)->n, ICMP6 + 20);
    w = segment(ROUTER_HOME, "10");
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), ICMP6, "0050 0fa0 00000009 00000000 50 04");
    w = segment(ROUTER_HOME, "04");
    lab_refused(lab, 0, &w, VNET_DROP_NO_PORT);
    w.at[ICMP6 + 16] ^= 1;
    lab_refused(lab, 0, &w, VNET_DROP_BAD_TCP);
}

// natlab's cases: no DHCP without IPv4, and (test-vnet-ra.c) no advertisement without IPv6.
static void a_network_speaks_what_it_has(void **state)
{
    struct lab *lab = *state;
    const struct wire payload = {.n = 240};
    struct wire w = udp(MAC_ALL, MAC_C, 0, UINT32_MAX, 68, 67, &payload);
    lab_send(lab, 2, &w);
    assert_int_equal(lab->count, 0);
    w = echo6(MAC_OFFICE, A_HOME, ROUTER_HOME);
    memcpy(w.at, (uint8_t[]){0x52, 0xee, 0xee, 0xee, 0xee, 3}, 6);
    lab_refused(lab, 3, &w, VNET_DROP_NO_ROUTE);
    w = echo6(MAC_ALL_NODES, A_LOCAL, ALL_NODES);
    lab_send(lab, 3, &w);
    assert_int_equal(lab->count, 0);
}

static void routers_forward_to_each_other(void **state)
{
    struct lab *lab = *state;
    struct wire w = echo6(MAC_ROUTER, A_HOME, ROUTER_OFFICE);
    lab6_meet(lab, 0, MAC_A, A_HOME);
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), IP6 + 8, ROUTER_OFFICE A_HOME "8100");
    w = echo6(MAC_ROUTER, A_HOME, C_OFFICE);
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 1); // the office is asked for it
    assert_int_equal(lab->out[0].plug, 2);
    struct wire c = icmp6(MAC_OFFICE, MAC_C, C_OFFICE, ROUTER_OFFICE, 255,
                          "8800000060000000" C_OFFICE "0201" MAC_C);
    lab_send(lab, 2, &c);
    assert_int_equal(lab->count, 1);
    assert_hex(&lab->out[0].frame, 0, MAC_C MAC_OFFICE "86dd 60000000 000b 3a 3e" A_HOME C_OFFICE);
    assert_hex(&lab->out[0].frame, ICMP6, "8000");
}

static void the_internet_has_hosts(void **state)
{
    struct lab *lab = *state;
    struct wire w = echo6(MAC_ROUTER, A_HOME, INTERNET_HOST);
    lab6_meet(lab, 0, MAC_A, A_HOME);
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), IP6 + 8, INTERNET_HOST A_HOME "8100");
    assert_hex(lab_answer(lab), ICMP6_BODY, "abcd0001 686921");
    assert_int_equal(lab_answer(lab)->at[IP6 + 7], 63);
    w = datagram(INTERNET_HOST);
    set16(&w, ICMP6 + 6, ~sum6(&w) & 0xffff);
    lab_send(lab, 0, &w);
    assert_hex(error_at(lab, 0, "0104"), IP6 + 8, INTERNET_HOST A_HOME);
    w = segment(INTERNET_HOST, "02");
    lab_send(lab, 0, &w);
    assert_hex(lab_answer(lab), IP6 + 8, INTERNET_HOST A_HOME "0050 0fa0");
}

static void what_cannot_be_brought_on_is_told(void **state)
{
    struct lab *lab = *state;
    struct wire w = echo6(MAC_ROUTER, A_HOME, "20990000000000000000000000000001");
    const struct wire *got = told(lab, &w, VNET_DROP_NO_ROUTE, "0100");
    assert_hex(got, IP6 + 8, ROUTER_HOME A_HOME);
    assert_memory_equal(got->at + ICMP6 + 8, w.at + IP6, w.n - IP6);
    w.at[IP6 + 7] = 0;
    told(lab, &w, VNET_DROP_NO_ROUTE, "0100"); // the route comes first
    w = echo6(MAC_ROUTER, A_HOME, "fe800000000000000000000000000b0b");
    told(lab, &w, VNET_DROP_NO_ROUTE, "0100");
    w = echo6(MAC_ROUTER, A_LOCAL, C_OFFICE);
    told(lab, &w, VNET_DROP_NO_ROUTE, "0102"); // beyond the scope of the source
    for (unsigned hops = 0; hops < 2; hops++) {
        w = echo6(MAC_ROUTER, A_HOME, C_OFFICE);
        w.at[IP6 + 7] = (uint8_t)hops;
        told(lab, &w, VNET_DROP_TTL, "0300");
    }
    lab6_meet(lab, 0, MAC_A, A_HOME);
    w.at[IP6 + 7] = 2; // and at the next router
    lab_send(lab, 0, &w);
    assert_hex(error_at(lab, 0, "0300"), IP6 + 8, ROUTER_OFFICE A_HOME);
}

// Home's 1500, then the office's uplink of 1300; never less than fits (RFC 8200, 5).
static void the_path_has_an_mtu(void **state)
{
    struct lab *lab = *state;
    struct wire payload = {.n = 1461};
    struct wire w = ip6(MAC_ROUTER, MAC_A, A_HOME, C_OFFICE, 17, 64, &payload);
    const struct wire *got = told(lab, &w, VNET_DROP_TOO_BIG, "0200");
    assert_hex(got, IP6 + 8, ROUTER_HOME A_HOME);
    assert_int_equal(number_at(got, ICMP6_BODY, 4), 1500);
    assert_int_equal(got->n, 14 + 1280);
    lab6_meet(lab, 0, MAC_A, A_HOME);
    payload.n = 1261;
    w = ip6(MAC_ROUTER, MAC_A, A_HOME, C_OFFICE, 17, 64, &payload);
    lab_send(lab, 0, &w);
    got = error_at(lab, 0, "0200");
    assert_hex(got, IP6 + 8, ROUTER_OFFICE A_HOME);
    assert_int_equal(number_at(got, ICMP6_BODY, 4), 1300);
    payload.n = 1260;
    w = ip6(MAC_ROUTER, MAC_A, A_HOME, C_OFFICE, 17, 64, &payload);
    lab_send(lab, 0, &w);
    assert_int_equal(lab_answers(lab, 0), 0);
    assert_int_equal(lab_answers(lab, 2), 1); // who is C?
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab6_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(router_answers_pings),
        LAB_TEST(a_ping_to_all_is_flooded_and_answered),
        LAB_TEST(padding_is_fine),
        LAB_TEST(bad_headers_are_dropped),
        LAB_TEST(impossible_addresses_are_dropped),
        LAB_TEST(known_headers_are_passed_over),
        LAB_TEST(bad_extensions_are_refused),
        LAB_TEST(headers_have_a_bound),
        LAB_TEST(errors_are_as_long_as_they_may_be),
        LAB_TEST(errors_are_limited),
        LAB_TEST(some_are_never_told),
        LAB_TEST(ports_are_closed),
        LAB_TEST(connections_are_reset),
        LAB_TEST(a_network_speaks_what_it_has),
        LAB_TEST(routers_forward_to_each_other),
        LAB_TEST(the_internet_has_hosts),
        LAB_TEST(what_cannot_be_brought_on_is_told),
        LAB_TEST(the_path_has_an_mtu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
