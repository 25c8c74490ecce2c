// DNS as guests ask the router.
#include "vnet-dns.h"

enum { AT_DNS = 42, AT_QUESTION = AT_DNS + 12 };

static struct wire in_frame(const struct wire *message)
{
    return udp(MAC_ROUTER, MAC_A, HOME + 7, HOME, 5353, 53, message);
}

// Sends a message to the router; the answer, which must be sound.
static const struct wire *sent(struct lab *lab, const struct wire *message)
{
    struct wire w = in_frame(message);
    lab_send(lab, 0, &w);
    const struct wire *answer = lab_answer(lab);
    assert_hex(answer, 0, MAC_A MAC_ROUTER);
    assert_hex(answer, 26, "c0a80001 c0a80008 0035 14e9");
    assert_int_equal(udp_sum(answer), 0xffff);
    assert_int_equal(number_at(answer, AT_DNS, 2), number_at(message, 0, 2));
    return answer;
}

#define NXDOMAIN_AA 0x8583
#define NOERROR_AA 0x8580

static unsigned flags(const struct wire *w)
{
    return number_at(w, AT_DNS + 2, 2);
}

static void assert_answer(struct lab *lab, const char *name, unsigned type, unsigned want_flags,
                          const char *want)
{
    struct wire message = query(name, type);
    const struct wire *w = sent(lab, &message);
    assert_memory_equal(w->at + AT_QUESTION, message.at + 12, message.n - 12);
    assert_string_equal(printed(w), want);
    assert_int_equal(flags(w), want_flags);
}

// In "home", whose zone is lab.test: what exists, and what does not.
static void found(struct lab *lab, const char *name, unsigned type, const char *want)
{
    char text[2000];
    snprintf(text, sizeof text, "%s||", want);
    assert_answer(lab, name, type, NOERROR_AA, text);
}

static bool is_in_zone(const char *name)
{
    const char *zone = strstr(name, "lab.test");
    return zone && strlen(zone) == strlen("lab.test");
}

static void no_data(struct lab *lab, const char *name, unsigned type)
{
    assert_answer(lab, name, type, NOERROR_AA,
                  is_in_zone(name) ? "|lab.test. 6 router.lab.test.;|" : "| 6 router.;|");
}

static void no_name(struct lab *lab, const char *name, unsigned type)
{
    assert_answer(lab, name, type, NXDOMAIN_AA,
                  is_in_zone(name) ? "|lab.test. 6 router.lab.test.;|" : "| 6 router.;|");
}

static void add_node(struct lab *lab, const char *name, unsigned network, uint32_t address)
{
    struct err e;
    struct vnet_node n = {
        name, network, {{2, 0, (uint8_t)(address >> 24), 0, 1, (uint8_t)address}}};
    n.address = address;
    assert_int_equal(vnet_add_node(lab->v, &n, &e), 0);
}

#define RECORD(...)                                                                                \
    &(struct vnet_record)                                                                          \
    {                                                                                              \
        .network = VNET_EVERYWHERE, .name = "x.test", __VA_ARGS__                                  \
    }

static void add(struct lab *lab, const struct vnet_record *r)
{
    struct err e;
    assert_int_equal(vnet_add_record(lab->v, r, &e), 0);
}

static void refused(struct lab *lab, const struct vnet_record *r, enum err_code code)
{
    struct err e;
    assert_int_equal(vnet_add_record(lab->v, r, &e), -1);
    assert_int_equal(e.code, code);
}

static void nodes_and_routers_have_names(void **state)
{
    struct lab *lab = *state;
    add_node(lab, "Web", 0, HOME + 9);
    add_node(lab, "far", 1, OFFICE + 9);
    found(lab, "web", A, "web. 1 c0a8000a;");
    found(lab, "web.lab.test", A, "web.lab.test. 1 c0a8000a;");
    found(lab, "router", A, "router. 1 c0a80001;");
    found(lab, "router.lab.test", A, "router.lab.test. 1 c0a80001;");
    no_data(lab, "web", AAAA);
    no_data(lab, "web.lab.test", TXT);
    no_data(lab, "lab.test", A);
    no_data(lab, "test", A); // something is below it
    no_data(lab, "", A);
    no_name(lab, "nobody", A);
    no_name(lab, "nobody.lab.test", A);
    no_name(lab, "x.web.lab.test", A);
    no_name(lab, "far", A); // its network has no domain, so it is known at home only
    no_name(lab, "far.lab.test", A);
    found(lab, "10.0.168.192.in-addr.arpa", PTR, "10.0.168.192.in-addr.arpa. 12 web.lab.test.;");
    found(lab, "1.0.168.192.in-addr.arpa", PTR, "1.0.168.192.in-addr.arpa. 12 router.lab.test.;");
    no_name(lab, "11.0.168.192.in-addr.arpa", PTR);
    no_data(lab, "0.168.192.in-addr.arpa", PTR);
    no_data(lab, "10.0.168.192.in-addr.arpa", A);
    no_name(lab, "010.0.168.192.in-addr.arpa", PTR);
    no_name(lab, "256.0.168.192.in-addr.arpa", PTR);
    no_name(lab, "9.10.0.168.192.in-addr.arpa", PTR);
}

static void case_does_not_matter(void **state)
{
    struct lab *lab = *state;
    add_node(lab, "web", 0, HOME + 9);
    found(lab, "WeB.LaB.tEsT", A, "WeB.LaB.tEsT. 1 c0a8000a;");
    found(lab, "10.0.168.192.IN-ADDR.arpa", PTR, "10.0.168.192.IN-ADDR.arpa. 12 web.lab.test.;");
}

static void records_of_all_types(void **state)
{
    const struct ip6 six = {{0x20, 0x52, [15] = 1}};
    struct lab *lab = *state;
    add(lab, RECORD(.type = VNET_A, .a = 0x05000001));
    add(lab, RECORD(.name = "X.test.", .type = VNET_A, .a = 0x05000002));
    add(lab, RECORD(.type = VNET_AAAA, .aaaa = six));
    add(lab, RECORD(.type = VNET_TXT, .text = "v=1"));
    add(lab, RECORD(.name = "www.x.test", .type = VNET_CNAME, .text = "x.test"));
    add(lab, RECORD(.name = "out.x.test", .type = VNET_CNAME, .text = "Else.where"));
    found(lab, "x.test", A, "x.test. 1 05000001;x.test. 1 05000002;");
    found(lab, "x.test", AAAA, "x.test. 28 20520000000000000000000000000001;");
    found(lab, "x.test", TXT, "x.test. 16 03763d31;");
    found(lab, "www.x.test", A, "www.x.test. 5 x.test.;x.test. 1 05000001;x.test. 1 05000002;");
    found(lab, "www.x.test", CNAME, "www.x.test. 5 x.test.;");
    found(lab, "x.test", ANY, "x.test. 13 075246433834383200;");
    no_name(lab, "y.test", ANY);
    found(lab, "1.0.0.5.in-addr.arpa", PTR, "1.0.0.5.in-addr.arpa. 12 x.test.;");
    found(lab, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.5.0.2.ip6.arpa", PTR,
          "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.5.0.2.ip6.arpa. 12 x.test.;");
    no_data(lab, "2.5.0.2.ip6.arpa", PTR);
    no_name(lab, "g.5.0.2.ip6.arpa", PTR);
    assert_answer(lab, "out.x.test", A, NXDOMAIN_AA, "out.x.test. 5 else.where.;| 6 router.;|");
    found(lab, "lab.test", NS, "lab.test. 2 router.lab.test.;");
    found(lab, "lab.test", SOA, "lab.test. 6 router.lab.test.;");
    found(lab, "", NS, " 2 router.;");
}

static void records_are_checked(void **state)
{
    char text[300];
    struct lab *lab = *state;
    add_node(lab, "web", 0, HOME + 9);
    memset(text, 'x', sizeof text);
    text[256] = 0;
    refused(lab, RECORD(.type = VNET_TXT, .text = text), ERR_USAGE);
    text[255] = 0;
    add(lab, RECORD(.name = "long.test", .type = VNET_TXT, .text = text));
    refused(lab, RECORD(.name = text, .type = VNET_A, .a = 1), ERR_USAGE);
    refused(lab, RECORD(.name = "", .type = VNET_A, .a = 1), ERR_USAGE);
    refused(lab, RECORD(.name = ".", .type = VNET_A, .a = 1), ERR_USAGE);
    refused(lab, RECORD(.name = "a..b", .type = VNET_A, .a = 1), ERR_USAGE);
    refused(lab, RECORD(.name = "a b", .type = VNET_A, .a = 1), ERR_USAGE);
    refused(lab, RECORD(.network = 2, .type = VNET_A, .a = 1), ERR_USAGE);
    refused(lab, RECORD(.network = -2, .type = VNET_A, .a = 1), ERR_USAGE);
    refused(lab, RECORD(.type = VNET_A), ERR_USAGE);
    refused(lab, RECORD(.type = VNET_AAAA), ERR_USAGE);
    refused(lab, RECORD(.type = VNET_CNAME), ERR_USAGE);
    add(lab, RECORD(.type = VNET_A, .a = 1));
    refused(lab, RECORD(.type = VNET_A, .a = 1), ERR_EXISTS);
    refused(lab, RECORD(.type = VNET_CNAME, .text = "a"), ERR_EXISTS);
    add(lab, RECORD(.name = "c.test", .type = VNET_CNAME, .text = "a"));
    refused(lab, RECORD(.name = "c.test", .type = VNET_TXT, .text = "a"), ERR_EXISTS);
    refused(lab, RECORD(.name = "web.lab.test", .type = VNET_CNAME, .text = "a"), ERR_EXISTS);
    refused(lab, RECORD(.name = "WEB", .type = VNET_A, .a = 1), ERR_EXISTS);
    add(lab, RECORD(.name = "web.lab.test", .type = VNET_TXT, .text = "a"));
    found(lab, "web.lab.test", A, "web.lab.test. 1 c0a8000a;");
    found(lab, "web.lab.test", TXT, "web.lab.test. 16 0161;");
}

static void aliases_end(void **state)
{
    struct lab *lab = *state;
    add(lab, RECORD(.name = "a", .type = VNET_CNAME, .text = "b"));
    add(lab, RECORD(.name = "b", .type = VNET_CNAME, .text = "a"));
    struct wire message = query("a", A);
    assert_int_equal(flags(sent(lab, &message)), 0x8182);
}

// A name or an address that a network has records of hides everywhere's.
static void zones_are_split(void **state)
{
    struct lab *lab = *state;
    add(lab, RECORD(.type = VNET_A, .a = 0x05000001));
    add(lab, RECORD(.network = 0, .type = VNET_A, .a = HOME + 20));
    add(lab, RECORD(.network = 1, .name = "in.corp.test", .type = VNET_A, .a = OFFICE + 20));
    add(lab, RECORD(.network = 0, .name = "sub.x.test", .type = VNET_A, .a = HOME + 21));
    found(lab, "x.test", A, "x.test. 1 c0a80015;");
    no_name(lab, "in.corp.test", A);
    no_name(lab, "corp.test", A);
    no_name(lab, "21.0.2.10.in-addr.arpa", PTR);
    struct wire message = query("in.corp.test", A);
    struct wire w = udp("52eeeeeeee02", MAC_B, OFFICE + 7, OFFICE, 5353, 53, &message);
    lab_send(lab, 3, &w);
    assert_int_equal(lab->count, 1);
    assert_string_equal(printed(&lab->out[0].frame), "in.corp.test. 1 0a020015;||");
    message = query("x.test", A);
    w = udp("52eeeeeeee02", MAC_B, OFFICE + 7, OFFICE, 5353, 53, &message);
    lab_send(lab, 3, &w);
    assert_string_equal(printed(&lab->out[0].frame), "x.test. 1 05000001;||");
}

// A server answers guests of other networks as it does its own.
static void servers_are_asked_from_elsewhere(void **state)
{
    struct lab *lab = *state;
    add_node(lab, "far", 1, OFFICE + 9);
    add(lab, RECORD(.network = 1, .name = "in.corp.test", .type = VNET_A, .a = OFFICE + 20));
    lab_meet(lab);
    static const char *const names[] = {"in.corp.test", "far"};
    for (size_t i = 0; i < 2; i++) {
        struct wire message = query(names[i], A);
        struct wire w = udp(MAC_ROUTER, MAC_A, NODE_A, OFFICE, 5353, 53, &message);
        lab_send(lab, 0, &w);
        assert_hex(lab_answer(lab), 26, "0a020001 c0a80065 0035 14e9");
        assert_int_equal(udp_sum(lab_answer(lab)), 0xffff);
        assert_int_equal(flags(lab_answer(lab)), NOERROR_AA);
        assert_int_equal(number_at(lab_answer(lab), AT_DNS + 6, 2), 1);
    }
}

static void with_edns(struct wire *w, unsigned size, unsigned version)
{
    w->at[11] = 1;
    hex(w, "00 0029");
    number(w, size, 2);
    hex(w, "00");
    number(w, version, 1);
    hex(w, "8000 0004 fde90000"); // DNSSEC OK, and an option that nobody knows
}

static void edns_decides_the_size(void **state)
{
    static const struct {
        unsigned asked, carried;
    } sizes[] = {{0, 512}, {100, 512}, {600, 600}, {1232, 1232}, {65535, 1472}};
    struct lab *lab = *state;
    for (uint32_t i = 0; i < 200; i++)
        add(lab, RECORD(.type = VNET_A, .a = 0x05000000 + i));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct wire message = query("x.test", A);
        if (sizes[i].asked)
            with_edns(&message, sizes[i].asked, 0);
        const struct wire *w = sent(lab, &message);
        assert_int_equal(flags(w), 0x8780);
        assert_in_range(w->n - AT_DNS, sizes[i].carried - 15, sizes[i].carried);
        printed(w);
        if (sizes[i].asked)
            assert_hex(w, w->n - 11, "00 0029 05c0 00 00 8000 0000");
        assert_int_equal(number_at(w, AT_DNS + 10, 2), sizes[i].asked != 0);
    }
}

static void only_edns_0_is_spoken(void **state)
{
    struct lab *lab = *state;
    struct wire message = query("router", A);
    with_edns(&message, 1232, 1);
    const struct wire *w = sent(lab, &message);
    assert_int_equal(flags(w), 0x8180);
    assert_hex(w, AT_DNS + 4, "0001 0000 0000 0001");
    assert_hex(w, w->n - 11, "00 0029 05c0 01 00 8000 0000");
    message = query("router", A);
    with_edns(&message, 1232, 0);
    with_edns(&message, 1232, 0);
    message.at[11] = 2;
    assert_int_equal(flags(sent(lab, &message)), 0x8181);
}

static void wrong_queries_are_told(void **state)
{
    struct lab *lab = *state;
    struct wire message = query("router", A);
    message.at[5] = 2;
    const struct wire *w = sent(lab, &message);
    assert_int_equal(flags(w), 0x8181);
    assert_int_equal(w->n, AT_QUESTION);
    message.at[5] = 0;
    assert_int_equal(flags(sent(lab, &message)), 0x8181);
    message = query("router", A);
    message.at[2] = 0x29; // UPDATE, recursion desired
    assert_int_equal(flags(sent(lab, &message)), 0xa984);
    message = query("router", A);
    message.at[2] = 0;
    message.at[3] = 0x30; // AD, CD
    assert_int_equal(flags(sent(lab, &message)), 0x8490);
    message = query("router", AXFR);
    assert_int_equal(flags(sent(lab, &message)), 0x8185);
    message = query("router", OPT);
    assert_int_equal(flags(sent(lab, &message)), 0x8181);
    message = query("version.bind", TXT);
    message.at[message.n - 1] = 3; // CHAOS
    assert_int_equal(flags(sent(lab, &message)), 0x8185);
}

static void malformed_names_are_refused(void **state)
{
    static const char *const names[] = {"c00c", "01 61 c00c", "c000", "ffff",        "40",
                                        "80",   "3f 61",      "01",   "03 616263 c0"};
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct wire message = {0};
        hex(&message, "1234 0100 0001 0000 0000 0000");
        hex(&message, names[i]);
        const struct wire *w = sent(lab, &message);
        assert_int_equal(flags(w), 0x8181);
    }
    struct wire message = {0};
    hex(&message,
        "0000 0100 0001 0000 0000 0000 c000 0001 0001"); // to a header that reads as a name
    assert_int_equal(flags(sent(lab, &message)), 0x8181);
    message.n = 0;
    hex(&message, "1234 0100 0001 0000 0000 0000");
    for (int i = 0; i < 128; i++) // 256 bytes with the root
        hex(&message, "0161");
    hex(&message, "00 0001 0001");
    assert_int_equal(flags(sent(lab, &message)), 0x8181);
    memmove(message.at + 12, message.at + 14, message.n - 14);
    message.n -= 2;
    assert_int_equal(flags(sent(lab, &message)), NXDOMAIN_AA);
}

static void what_is_no_query_is_dropped(void **state)
{
    struct lab *lab = *state;
    struct wire message = query("router", A);
    message.at[2] |= 0x80; // an answer
    struct wire w = in_frame(&message);
    lab_refused(lab, 0, &w, VNET_DROP_BAD_DNS);
    message.n = 11;
    w = in_frame(&message);
    lab_refused(lab, 0, &w, VNET_DROP_BAD_DNS);
    message = query("router", A);
    w = udp(MAC_ALL, MAC_A, HOME + 7, UINT32_MAX, 5353, 53, &message);
    lab_send(lab, 0, &w);
    assert_int_equal(lab_answers(lab, 0), 0);
}

static void faults_are_shown(void **state)
{
    static const struct {
        enum vnet_dns_fault fault;
        unsigned flags;
        const char *name, *records;
    } faults[] = {
        {VNET_DNS_SERVFAIL, 0x8182, "servfail", "||"},
        {VNET_DNS_REFUSED, 0x8185, "refused", "||"},
        {VNET_DNS_NXDOMAIN, NXDOMAIN_AA, "nxdomain", "| 6 router.;|"},
        {VNET_DNS_TRUNCATED, 0x8780, "truncated", "||"},
        {VNET_DNS_OK, NOERROR_AA, "ok", "router. 1 c0a80001;||"},
    };
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        vnet_set_dns_fault(lab->v, 0, faults[i].fault);
        assert_string_equal(vnet_dns_fault_name(faults[i].fault), faults[i].name);
        assert_answer(lab, "router", A, faults[i].flags, faults[i].records);
    }
    vnet_set_dns_fault(lab->v, 0, VNET_DNS_SILENT);
    struct wire message = query("router", A);
    struct wire w = in_frame(&message);
    lab_refused(lab, 0, &w, VNET_DROP_DNS_FAULT);
}

// Whole queries cut anywhere, with UDP lengths that fit: an answer, and nothing read beyond the
// end.
static void cut_queries_do_no_harm(void **state)
{
    struct lab *lab = *state;
    struct wire whole = query("www.router.lab.test", A);
    with_edns(&whole, 1232, 0);
    for (size_t n = 12; n < whole.n; n++) {
        struct wire message = whole;
        message.n = n;
        assert_int_equal(flags(sent(lab, &message)), 0x8181);
    }
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(nodes_and_routers_have_names),
        LAB_TEST(case_does_not_matter),
        LAB_TEST(records_of_all_types),
        LAB_TEST(records_are_checked),
        LAB_TEST(aliases_end),
        LAB_TEST(zones_are_split),
        LAB_TEST(servers_are_asked_from_elsewhere),
        LAB_TEST(edns_decides_the_size),
        LAB_TEST(only_edns_0_is_spoken),
        LAB_TEST(wrong_queries_are_told),
        LAB_TEST(malformed_names_are_refused),
        LAB_TEST(what_is_no_query_is_dropped),
        LAB_TEST(faults_are_shown),
        LAB_TEST(cut_queries_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
