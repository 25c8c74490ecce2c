// Which names and addresses are known where: "home" (plug 0) is behind a NAT and has IPv6, "corp"
// (plug 1) is routed, "six" (plug 2) has IPv6 alone.
#include "vnet-dns.h"
#include "vnet-lab6.h"

enum { ROUTERS = 3, REQUEST = 3, RELEASE = 7 };

static const char *const router_macs[ROUTERS] = {MAC_ROUTER, "52eeeeeeee02", "52eeeeeeee03"};

static void add_node(struct vnet *v, const struct vnet_node *n)
{
    struct err e;
    assert_int_equal(vnet_add_node(v, n, &e), 0);
}

static int setup(void **state)
{
    const struct vnet_network networks[] = {
        {.name = "home",
         .router = HOME,
         .prefix = 24,
         .router6 = {{0x20, 0, 0, 0x52, [15] = 1}},
         .prefix6 = 64,
         .wan = 0x02010101,
         .nat = VNET_NAT_EASY,
         .mtu = 1500,
         .lease_seconds = 3600,
         .domain = "Home.test"},
        {.name = "corp",
         .router = OFFICE,
         .prefix = 16,
         .mtu = 1400,
         .lease_seconds = 60,
         .domain = "corp.test."},
        {.name = "six",
         .router6 = {{0x20, 0, 0, 0x53, [15] = 1}},
         .prefix6 = 64,
         .mtu = 1300,
         .domain = "six.test"},
    };
    const struct ip6 pc6 = {{0x20, 0, 0, 0x52, [15] = 9}};
    struct lab *lab = calloc(1, sizeof *lab);
    struct err e;
    lab->now = SECOND;
    lab->v =
        vnet_new(&vnet_default_limits, 42, &(struct vnet_owner){.output = lab_output, .arg = lab});
    for (unsigned i = 0; i < ROUTERS; i++) {
        assert_int_equal(vnet_add_network(lab->v, &networks[i], &e), i);
        assert_int_equal(vnet_add_plug(lab->v, &(struct vnet_plug){"plug", i}, &e), i);
    }
    add_node(lab->v, &(struct vnet_node){"pc", 0, {{2, 9}}, HOME + 8, pc6});
    add_node(lab->v, &(struct vnet_node){"web", 1, {{2, 8}}, OFFICE + 8, {{0}}});
    add_node(lab->v, &(struct vnet_node){"lazy", 1, {{2, 0, 0, 0, 0, 7}}, 0, {{0}}});
    *state = lab;
    return 0;
}

static const struct wire *answer_at(const struct lab *lab, unsigned plug)
{
    const struct wire *found = NULL;
    for (unsigned i = 0; i < lab->count; i++) {
        const struct wire *w = &lab->out[i].frame;
        bool is_dns = lab->out[i].plug == plug && w->n > dns_at(w) && w->at[dns_at(w) - 7] == 53;
        found = is_dns ? w : found;
    }
    assert_non_null(found);
    return found;
}

static struct wire by_ipv6(const struct wire *message)
{
    struct wire u = {0};
    hex(&u, "14e9 0035");
    number(&u, 8 + (uint32_t)message->n, 2);
    hex(&u, "0000");
    memcpy(u.at + u.n, message->at, message->n);
    u.n += message->n;
    struct wire w = ip6(router_macs[2], MAC_A, A_LOCAL, ROUTER_LOCAL, 17, 64, &u);
    set16(&w, ICMP6 + 6, ~sum6(&w) & 0xffff);
    return w;
}

static const struct wire *asked(struct lab *lab, unsigned plug, const struct wire *message)
{
    bool is_corp = plug == 1;
    struct wire w = plug == 2 ? by_ipv6(message)
                              : udp(router_macs[is_corp], MAC_A, (is_corp ? OFFICE : HOME) + 7,
                                    is_corp ? OFFICE : HOME, 5353, 53, message);
    lab_send(lab, plug, &w);
    const struct wire *answer = answer_at(lab, plug);
    assert_hex(answer, 0, MAC_A);
    assert_hex(answer, 6, router_macs[plug]);
    assert_int_equal(plug == 2 ? sum6(answer) : udp_sum(answer), 0xffff);
    return answer;
}

// The answer section, or "nothing" (the name is there), or "nobody".
static const char *answer_to(struct lab *lab, unsigned plug, const char *name, unsigned type)
{
    struct wire message = query(name, type);
    const struct wire *w = asked(lab, plug, &message);
    unsigned rcode = w->at[dns_at(w) + 3] & 15;
    char *text = (char *)printed(w);
    text[strcspn(text, "|")] = 0;
    return *text ? text : rcode == 3 ? "nobody" : "nothing";
}

#define assert_answer(plug, name, type, want)                                                      \
    assert_string_equal(answer_to(lab, plug, name, type), want)

static void a_nodes_name_is_short_at_home(void **state)
{
    struct lab *lab = *state;
    assert_answer(1, "web", A, "web. 1 0a020009;");
    assert_answer(1, "web.corp.test", A, "web.corp.test. 1 0a020009;");
    assert_answer(0, "web", A, "nobody");
    assert_answer(0, "web.corp.test", A, "web.corp.test. 1 0a020009;");
    assert_answer(2, "web.corp.test", A, "web.corp.test. 1 0a020009;"); // asked by IPv6
    assert_answer(0, "9.0.2.10.in-addr.arpa", PTR, "9.0.2.10.in-addr.arpa. 12 web.corp.test.;");
    assert_answer(0, "web.home.test", A, "nobody");
    assert_answer(0, "router.corp.test", A, "router.corp.test. 1 0a020001;");
    assert_answer(2, "router", AAAA, "router. 28 20000053000000000000000000000001;");
    assert_answer(2, "router", A, "nothing");
}

// Its IPv6 address is reached from everywhere.
static void an_address_behind_a_nat_stays_there(void **state)
{
    static const char reverse6[] =
        "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.5.0.0.0.0.0.2.ip6.arpa";
    struct lab *lab = *state;
    assert_answer(0, "pc.home.test", A, "pc.home.test. 1 c0a80009;");
    assert_answer(0, "9.0.168.192.in-addr.arpa", PTR,
                  "9.0.168.192.in-addr.arpa. 12 pc.home.test.;");
    assert_answer(1, "pc.home.test", A, "nothing");
    assert_answer(1, "pc.home.test", AAAA, "pc.home.test. 28 20000052000000000000000000000009;");
    assert_answer(1, "9.0.168.192.in-addr.arpa", PTR, "nobody");
    assert_string_equal(strrchr(answer_to(lab, 1, reverse6, PTR), ' '), " pc.home.test.;");
    assert_answer(1, "router.home.test", A, "nothing");
    assert_answer(0, "router.home.test", A, "router.home.test. 1 c0a80001;");
}

static void a_nat_is_no_server_to_the_outside(void **state)
{
    struct lab *lab = *state;
    struct wire message = query("router", A);
    struct wire w = udp(router_macs[1], MAC_A, OFFICE + 7, 0x02010101, 5353, 53, &message);
    lab_send(lab, 1, &w);
    for (unsigned i = 0; i < lab->count; i++) {
        const struct wire *got = &lab->out[i].frame;
        assert_false(number_at(got, 12, 2) == 0x0800 && got->at[23] == 17);
    }
    const struct vnet_counters *home = vnet_network_counters(lab->v, 0);
    assert_int_equal(home->drops[VNET_DROP_NO_PORT] + home->drops[VNET_DROP_NAT_FILTERED], 1);
}

// The routers' other frames are advertisements, and questions who has an address.
static unsigned dhcp_answers(const struct lab *lab)
{
    unsigned count = 0;
    for (unsigned i = 0; i < lab->count; i++) {
        const struct wire *w = &lab->out[i].frame;
        count += w->n > 240 && number_at(w, 34, 4) == (67u << 16 | 68);
    }
    return count;
}

static unsigned dhcp(struct lab *lab, unsigned type, const char *mac, uint32_t address,
                     const char *host)
{
    struct wire w = {0};
    bool release = type == RELEASE;
    hex(&w, "01 01 06 00 01020304 0000 0000");
    number(&w, release ? address : 0, 4);
    w.n += 12;
    hex(&w, mac);
    w.n = 236;
    hex(&w, "63825363 3501");
    number(&w, type, 1);
    hex(&w, "3604 0a020001 3204");
    number(&w, release ? 0 : address, 4);
    hex(&w, "0c");
    number(&w, (uint32_t)strlen(host), 1);
    memcpy(w.at + w.n, host, strlen(host));
    w.n += strlen(host);
    hex(&w, "ff");
    w = udp(release ? router_macs[1] : MAC_ALL, mac, release ? address : 0,
            release ? OFFICE : UINT32_MAX, 68, 67, &w);
    lab_send(lab, 1, &w);
    return dhcp_answers(lab);
}

static void a_clients_name_is_the_one_it_gives(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(dhcp(lab, REQUEST, "020000000001", OFFICE + 49, "Tiny"), 1);
    assert_answer(1, "tiny", A, "tiny. 1 0a020032;");
    assert_answer(0, "tiny.corp.test", A, "tiny.corp.test. 1 0a020032;");
    assert_answer(0, "50.0.2.10.in-addr.arpa", PTR, "50.0.2.10.in-addr.arpa. 12 tiny.corp.test.;");
    assert_int_equal(dhcp(lab, REQUEST, "020000000002", OFFICE + 59, "tiny"), 1); // a clone
    assert_answer(1, "tiny", A, "tiny. 1 0a020032;");
    assert_int_equal(dhcp(lab, REQUEST, "020000000003", OFFICE + 69, "web"), 1); // a node's
    assert_answer(1, "web", A, "web. 1 0a020009;");
    assert_answer(1, "70.0.2.10.in-addr.arpa", PTR, "nobody");
    dhcp(lab, RELEASE, "020000000001", OFFICE + 49, "");
    assert_answer(1, "tiny", A, "nobody");
    assert_int_equal(dhcp(lab, REQUEST, "020000000002", OFFICE + 59, "tiny"), 1);
    assert_answer(1, "tiny", A, "tiny. 1 0a02003c;");
    lab->now += 61 * (uint64_t)SECOND;
    vnet_advance(lab->v, lab->now);
    assert_answer(1, "tiny", A, "nobody");
}

static void a_node_without_an_address_gets_one_by_dhcp(void **state)
{
    struct lab *lab = *state;
    assert_answer(1, "lazy", A, "nothing");
    assert_int_equal(dhcp(lab, REQUEST, "020000000007", OFFICE + 49, "other"), 1);
    assert_answer(1, "lazy", A, "lazy. 1 0a020032;");
    assert_answer(1, "other", A, "nobody");
    assert_answer(1, "50.0.2.10.in-addr.arpa", PTR, "50.0.2.10.in-addr.arpa. 12 lazy.corp.test.;");
}

static void an_ipv6_network_has_no_dhcp(void **state)
{
    struct lab *lab = *state;
    struct wire w = {0};
    hex(&w, "01 01 06 00 01020304 0000 0000");
    w.n = 28;
    hex(&w, MAC_A);
    w.n = 236;
    hex(&w, "63825363 350101 ff");
    w = udp(MAC_ALL, MAC_A, 0, UINT32_MAX, 68, 67, &w);
    lab_send(lab, 2, &w);
    assert_int_equal(dhcp_answers(lab), 0);
}

static void ipv6_answers_fit_the_mtu(void **state)
{
    struct lab *lab = *state;
    struct err e;
    for (uint32_t i = 1; i < 200; i++)
        assert_int_equal(vnet_add_record(lab->v,
                                         &(struct vnet_record){.network = VNET_EVERYWHERE,
                                                               .name = "many.test",
                                                               .type = VNET_A,
                                                               .a = i},
                                         &e),
                         0);
    struct wire message = query("many.test", A);
    message.at[11] = 1;
    hex(&message, "00 0029 ffff 00000000 0000");
    const struct wire *w = asked(lab, 2, &message);
    assert_in_range(w->n - 14, 1300 - 15, 1300);
    assert_int_equal(w->at[dns_at(w) + 2] & 2, 2);
    printed(w);
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(a_nodes_name_is_short_at_home),
        LAB_TEST(an_address_behind_a_nat_stays_there),
        LAB_TEST(a_nat_is_no_server_to_the_outside),
        LAB_TEST(a_clients_name_is_the_one_it_gives),
        LAB_TEST(a_node_without_an_address_gets_one_by_dhcp),
        LAB_TEST(an_ipv6_network_has_no_dhcp),
        LAB_TEST(ipv6_answers_fit_the_mtu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
