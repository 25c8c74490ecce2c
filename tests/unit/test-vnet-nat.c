// The NAT of a network "inside" (192.168.5.1/24, WAN 2.1.1.1, plugs 4 and 5), seen from node C of
// the office at plug 3, whose network is routed.
#include "vnet-lab.h"

#define INSIDE 0xc0a80501u
#define WAN 0x02010101u
#define NODE_D (INSIDE + 103) // at plug 4
#define NODE_E (INSIDE + 104) // at plug 5
#define MAC_D "52cccccccc04"
#define MAC_E "52cccccccc05"
#define MAC_INSIDE "52eeeeeeee03"
#define MINUTE (60ull * SECOND)

enum { UDP = 17, TCP = 6, ICMP = 1 };

static void open_lab(struct lab *lab, const struct vnet_limits *limits)
{
    const struct vnet_network inside = {.name = "inside",
                                        .router = INSIDE,
                                        .prefix = 24,
                                        .wan = WAN,
                                        .nat = VNET_NAT_EASY,
                                        .mtu = 1500,
                                        .lease_seconds = 60};
    struct err e;
    lab_limited(lab, limits);
    assert_int_equal(vnet_add_network(lab->v, &inside, &e), 2);
    for (int i = 4; i < 6; i++)
        assert_int_equal(
            vnet_add_plug(lab->v, &(struct vnet_plug){.name = "plug", .network = 2}, &e), i);
    lab_meet(lab);
    const struct wire d = arp(MAC_ALL, MAC_D, 1, NODE_D, INSIDE);
    const struct wire e5 = arp(MAC_ALL, MAC_E, 1, NODE_E, INSIDE);
    lab_send(lab, 4, &d);
    lab_send(lab, 5, &e5);
}

static int nat_setup(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);
    open_lab(lab, &vnet_default_limits);
    *state = lab;
    return 0;
}

// The sum over the payload, with the pseudo header where there is one; 0xffff when it is right.
static uint16_t payload_sum(const struct wire *w)
{
    uint32_t n = (uint32_t)w->n - 34;
    uint32_t pseudo = w->at[23] == ICMP ? 0 : w->at[23] + n + word_sum(w->at + 26, 8, 0);
    return word_sum(w->at + 34, n, pseudo);
}

struct end {
    unsigned plug;
    const char *mac, *router;
    uint32_t address;
};
static const struct end end_c = {3, MAC_C, MAC_OFFICE, NODE_C};
static const struct end end_d = {4, MAC_D, MAC_INSIDE, NODE_D};
static const struct end end_e = {5, MAC_E, MAC_INSIDE, NODE_E};

static struct wire udp_of(const struct end *from, unsigned from_port, uint32_t to, unsigned to_port)
{
    struct wire payload = {0};
    hex(&payload, "c0ffee");
    return udp(from->router, from->mac, from->address, to, from_port, to_port, &payload);
}

static struct wire tcp_of(const struct end *from, unsigned from_port, uint32_t to, unsigned to_port,
                          unsigned flags)
{
    struct wire t = {0};
    number(&t, from_port, 2);
    number(&t, to_port, 2);
    hex(&t, "00000064 00000000");
    number(&t, 0x5000 | flags, 2);
    hex(&t, "ffff 0000 0000");
    struct wire w = ipv4(from->router, from->mac, from->address, to, TCP, &t);
    set16(&w, 50, ~payload_sum(&w) & 0xffff);
    return w;
}

// Sends a packet; the one that comes out, at the other end's plug.
static const struct wire *passes(struct lab *lab, const struct end *from, const struct wire *w,
                                 const struct end *to)
{
    lab_send(lab, from->plug, w);
    assert_int_equal(lab->count, 1);
    assert_int_equal(lab->out[0].plug, to->plug);
    const struct wire *got = &lab->out[0].frame;
    assert_int_equal(word_sum(got->at + 14, 20, 0), 0xffff);
    return got;
}

static void assert_ends(const struct wire *w, uint32_t from, unsigned from_port, uint32_t to,
                        unsigned to_port)
{
    assert_int_equal(payload_sum(w), 0xffff);
    assert_int_equal(number_at(w, 26, 4), from);
    assert_int_equal(number_at(w, 30, 4), to);
    assert_int_equal(number_at(w, 34, 2), from_port);
    assert_int_equal(number_at(w, 36, 2), to_port);
}

static uint64_t nat_drops(const struct lab *lab, enum vnet_drop why)
{
    return vnet_network_counters(lab->v, 2)->drops[why];
}

// Sends a packet from node C that must not get in.
static void filtered(struct lab *lab, const struct wire *w)
{
    uint64_t before = nat_drops(lab, VNET_DROP_NAT_FILTERED);
    lab_send(lab, 3, w);
    assert_int_equal(lab->count, 0);
    assert_int_equal(nat_drops(lab, VNET_DROP_NAT_FILTERED), before + 1);
}

static void udp_comes_back(void **state)
{
    struct lab *lab = *state;
    struct wire w = udp_of(&end_d, 4000, NODE_C, 53);
    assert_ends(passes(lab, &end_d, &w, &end_c), WAN, 4000, NODE_C, 53);
    assert_int_equal(lab->out[0].frame.at[22], 62);
    w = udp_of(&end_c, 53, WAN, 4000);
    assert_ends(passes(lab, &end_c, &w, &end_d), NODE_C, 53, NODE_D, 4000);
    w = udp_of(&end_d, 4000, NODE_C, 53);
    set16(&w, 40, 0); // no checksum stays none
    const struct wire *got = passes(lab, &end_d, &w, &end_c);
    assert_int_equal(number_at(got, 40, 2), 0);
    w.at[42] ^= 1; // a wrong one stays wrong
    set16(&w, 40, 0x1234);
    assert_int_not_equal(payload_sum(passes(lab, &end_d, &w, &end_c)), 0xffff);
}

static void only_who_was_asked_may_answer(void **state)
{
    struct lab *lab = *state;
    struct wire w = udp_of(&end_c, 53, WAN, 4000);
    filtered(lab, &w);
    w = udp_of(&end_d, 4000, NODE_C, 53);
    passes(lab, &end_d, &w, &end_c);
    w = udp_of(&end_c, 54, WAN, 4000); // another port
    filtered(lab, &w);
    w = udp_of(&end_c, 53, WAN, 4001); // to another port
    filtered(lab, &w);
    w = ping_of(MAC_ROUTER, MAC_A, NODE_A, WAN, 1);
    w = udp(MAC_ROUTER, MAC_A, NODE_A, WAN, 53, 4000, &(struct wire){0}); // another host
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 0);
    w = tcp_of(&end_c, 53, WAN, 4000, 2); // another protocol
    filtered(lab, &w);
    w = udp_of(&end_d, 4000, NODE_A, 53); // the same mapping for another host
    const struct end end_a = {0, MAC_A, MAC_ROUTER, NODE_A};
    assert_ends(passes(lab, &end_d, &w, &end_a), WAN, 4000, NODE_A, 53);
    w = udp_of(&end_c, 53, WAN, 4000);
    passes(lab, &end_c, &w, &end_d);
}

static void a_taken_port_gives_one_like_it(void **state)
{
    static const unsigned ports[] = {4000, 4001, 53, 500};
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        struct wire w = udp_of(&end_d, ports[i], NODE_C, 9);
        assert_ends(passes(lab, &end_d, &w, &end_c), WAN, ports[i], NODE_C, 9);
        w = udp_of(&end_e, ports[i], NODE_C, 9);
        unsigned port = number_at(passes(lab, &end_e, &w, &end_c), 34, 2);
        assert_int_not_equal(port, ports[i]);
        assert_int_equal(port % 2, ports[i] % 2);
        assert_int_equal(port < 1024, ports[i] < 1024);
        w = udp_of(&end_c, 9, WAN, port);
        assert_ends(passes(lab, &end_c, &w, &end_e), NODE_C, 9, NODE_E, ports[i]);
        w = tcp_of(&end_e, ports[i], NODE_C, 9, 2); // TCP's ports are others
        assert_ends(passes(lab, &end_e, &w, &end_c), WAN, ports[i], NODE_C, 9);
    }
}

// From time to time the hosts are heard of again, so that nobody has to be asked.
static void wait_until(struct lab *lab, uint64_t at)
{
    const struct wire c = arp(MAC_OFFICE, MAC_C, 2, NODE_C, OFFICE);
    const struct wire d = arp(MAC_INSIDE, MAC_D, 2, NODE_D, INSIDE);
    lab_pass(lab, at - lab->now);
    lab_send(lab, 3, &c);
    lab_send(lab, 4, &d);
}

static void udp_lives_by_what_goes_out(void **state)
{
    struct lab *lab = *state;
    const struct wire out = udp_of(&end_d, 4000, NODE_C, 53);
    const struct wire in = udp_of(&end_c, 53, WAN, 4000);
    uint64_t start = lab->now;
    passes(lab, &end_d, &out, &end_c);
    wait_until(lab, start + 4 * MINUTE);
    passes(lab, &end_d, &out, &end_c);
    wait_until(lab, start + 8 * MINUTE);
    passes(lab, &end_c, &in, &end_d);
    wait_until(lab, start + 9 * MINUTE - 1);
    passes(lab, &end_c, &in, &end_d);
    wait_until(lab, start + 9 * MINUTE);
    filtered(lab, &in);
}

static void connect(struct lab *lab, unsigned port)
{
    struct wire w = tcp_of(&end_d, port, NODE_C, 80, 2);
    assert_ends(passes(lab, &end_d, &w, &end_c), WAN, port, NODE_C, 80);
    w = tcp_of(&end_c, 80, WAN, port, 0x12);
    assert_ends(passes(lab, &end_c, &w, &end_d), NODE_C, 80, NODE_D, port);
}

static void connections_live_long(void **state)
{
    static const struct {
        unsigned out, in; // flags of a segment after the connection is open; 0: none
        bool closed;
    } cases[] = {{0x10, 0x10, false},
                 {0x11, 0, false},
                 {0x11, 0x11, true},
                 {0x04, 0, true},
                 {0, 0x04, true}};
    struct lab *lab = *state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire out = tcp_of(&end_d, 5000 + i, NODE_C, 80, cases[i].out);
        struct wire in = tcp_of(&end_c, 80, WAN, 5000 + i, cases[i].in);
        connect(lab, 5000 + i);
        uint64_t start = lab->now;
        if (cases[i].out)
            passes(lab, &end_d, &out, &end_c);
        if (cases[i].in)
            passes(lab, &end_c, &in, &end_d);
        in = tcp_of(&end_c, 80, WAN, 5000 + i, 0x10);
        wait_until(lab, start + 4 * MINUTE - 1);
        passes(lab, &end_c, &in, &end_d);
        wait_until(lab, lab->now + 4 * MINUTE);
        if (cases[i].closed) {
            filtered(lab, &in);
            continue;
        }
        passes(lab, &end_c, &in, &end_d);
        wait_until(lab, lab->now + 124 * MINUTE - 1);
        passes(lab, &end_c, &in, &end_d);
        wait_until(lab, lab->now + 124 * MINUTE);
        filtered(lab, &in);
    }
}

static void half_open_connections_do_not(void **state)
{
    struct lab *lab = *state;
    const struct wire in = tcp_of(&end_c, 80, WAN, 5000, 0x10);
    struct wire w = tcp_of(&end_c, 80, WAN, 5000, 2);
    filtered(lab, &w); // an unsolicited one
    w = tcp_of(&end_d, 5000, NODE_C, 80, 2);
    passes(lab, &end_d, &w, &end_c);
    wait_until(lab, lab->now + 4 * MINUTE);
    filtered(lab, &in);
    w = tcp_of(&end_d, 5000, NODE_C, 80, 0x10); // one that this NAT has not seen begin
    passes(lab, &end_d, &w, &end_c);
    passes(lab, &end_c, &in, &end_d);
    wait_until(lab, lab->now + 4 * MINUTE);
    filtered(lab, &in);
}

static struct wire pong_for(const struct wire *ping)
{
    struct wire w = ipv4(MAC_OFFICE, MAC_C, NODE_C, WAN, ICMP,
                         &(struct wire){.n = ping->n - 34}); // room, see below
    memcpy(w.at + 34, ping->at + 34, ping->n - 34);
    w.at[34] = 0;
    set16(&w, 36, 0);
    set16(&w, 36, ~word_sum(w.at + 34, w.n - 34, 0) & 0xffff);
    return w;
}

static void pings_come_back(void **state)
{
    struct lab *lab = *state;
    struct wire d = ping_of(MAC_INSIDE, MAC_D, NODE_D, NODE_C, 9);
    struct wire e = ping_of(MAC_INSIDE, MAC_E, NODE_E, NODE_C, 9);
    struct wire w = *passes(lab, &end_d, &d, &end_c);
    assert_int_equal(payload_sum(&w), 0xffff);
    assert_hex(&w, 26, "02010101 0a020067 0800");
    assert_hex(&w, 38, "abcd");
    struct wire pong = pong_for(&w);
    const struct wire *got = passes(lab, &end_c, &pong, &end_d);
    assert_int_equal(payload_sum(got), 0xffff);
    assert_int_equal(number_at(got, 30, 4), NODE_D);

    w = *passes(lab, &end_e, &e, &end_c); // the same identifier from another host
    assert_int_not_equal(number_at(&w, 38, 2), 0xabcd);
    pong = pong_for(&w);
    got = passes(lab, &end_c, &pong, &end_e);
    assert_int_equal(payload_sum(got), 0xffff);
    assert_int_equal(number_at(got, 30, 4), NODE_E);
    assert_hex(got, 38, "abcd");

    wait_until(lab, lab->now + MINUTE);
    pong = pong_for(&d);
    filtered(lab, &pong);
    w = ping_of(MAC_OFFICE, MAC_C, NODE_C, WAN, 4); // the router's own
    lab_send(lab, 3, &w);
    assert_hex(&lab->out[0].frame, 26, "02010101 0a020067 0000");
}

// An error of n bytes of quote about a packet that came to `from`.
static struct wire error_about(const struct end *from, uint32_t to, unsigned type_and_code,
                               const struct wire *packet, size_t n)
{
    struct wire icmp = {0};
    number(&icmp, type_and_code, 2);
    number(&icmp, 0, 2);
    number(&icmp, 0, 4);
    n = n < packet->n - 14 ? n : packet->n - 14;
    memcpy(icmp.at + 8, packet->at + 14, n);
    icmp.n += n;
    set16(&icmp, 2, ~word_sum(icmp.at, icmp.n, 0) & 0xffff);
    return ipv4(from->router, from->mac, from->address, to, ICMP, &icmp);
}

// The packet as it is quoted, but for TTL and header checksum.
static void assert_quotes(const struct wire *error, const struct wire *packet)
{
    struct wire quote = *packet;
    size_t n = error->n - 42;
    assert_int_equal(payload_sum(error), 0xffff);
    quote.at[22] = error->at[50];
    seal_ipv4(&quote);
    assert_memory_equal(error->at + 42, quote.at + 14, n);
}

static void errors_find_the_sender(void **state)
{
    static const size_t quotes[] = {28, 31, 40, 48};
    struct lab *lab = *state;
    const struct wire kinds[] = {udp_of(&end_e, 4000, NODE_C, 53),
                                 tcp_of(&end_e, 4000, NODE_C, 80, 2),
                                 ping_of(MAC_INSIDE, MAC_E, NODE_E, NODE_C, 20)};
    const struct wire first[] = {udp_of(&end_d, 4000, NODE_C, 53),
                                 tcp_of(&end_d, 4000, NODE_C, 80, 2),
                                 ping_of(MAC_INSIDE, MAC_D, NODE_D, NODE_C, 20)};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        lab_send(lab, 4, &first[k]); // takes the port, so that it must change
        for (size_t q = 0; q < sizeof quotes / sizeof *quotes; q++) {
            struct wire outside = *passes(lab, &end_e, &kinds[k], &end_c);
            struct wire w = error_about(&end_c, WAN, 0x0303, &outside, quotes[q]);
            const struct wire *got = passes(lab, &end_c, &w, &end_e);
            assert_int_equal(number_at(got, 30, 4), NODE_E);
            assert_int_equal(got->n, w.n);
            assert_quotes(got, &kinds[k]);
            w.at[40] ^= 1;
            lab_send(lab, 3, &w); // a wrong checksum
            assert_int_equal(lab->count, 0);
            outside.at[36] ^= 1; // about what was never sent
            w = error_about(&end_c, WAN, 0x0303, &outside, quotes[q]);
            if (k < 2) {
                lab_send(lab, 3, &w);
                assert_int_equal(lab->count, 0);
            }
        }
    }
}

static void errors_from_inside_find_the_sender(void **state)
{
    struct lab *lab = *state;
    struct wire w = udp_of(&end_d, 4000, NODE_C, 53);
    passes(lab, &end_d, &w, &end_c);
    w = udp_of(&end_e, 4000, NODE_C, 53);
    unsigned port = number_at(passes(lab, &end_e, &w, &end_c), 34, 2);
    const struct wire in = udp_of(&end_c, 53, WAN, port);
    const struct wire inside = *passes(lab, &end_c, &in, &end_e);
    struct wire error = error_about(&end_e, NODE_C, 0x0303, &inside, 100);
    const struct wire *got = passes(lab, &end_e, &error, &end_c);
    assert_int_equal(number_at(got, 26, 4), WAN);
    assert_quotes(got, &in);
    error = error_about(&end_d, NODE_C, 0x0303, &inside, 100);
    got = passes(lab, &end_d, &error, &end_c); // in another's name: it is no secret
    assert_quotes(got, &in);
    error.at[40] ^= 1;
    lab_refused(lab, 4, &error, VNET_DROP_BAD_ICMP);
    assert_int_equal(lab->count, 0);
    struct wire lie = inside;
    lie.at[36] ^= 1;
    error = error_about(&end_e, NODE_C, 0x0303, &lie, 100);
    lab_refused(lab, 5, &error, VNET_DROP_NAT_FILTERED);
    assert_int_equal(lab->count, 0);
}

static void errors_of_the_router_itself_do_too(void **state)
{
    struct lab *lab = *state;
    struct wire w = udp_of(&end_d, 4000, NODE_C, 53);
    passes(lab, &end_d, &w, &end_c);
    struct wire in = udp_of(&end_c, 53, WAN, 4000);
    in.at[22] = 2; // one for the office's router, one for the NAT's
    seal_ipv4(&in);
    const struct wire *got = passes(lab, &end_c, &in, &end_c);
    assert_hex(got, 26, "02010101 0a020067 0b00");
    assert_quotes(got, &in);
    in = udp_of(&end_c, 53, WAN, 4000);
    wait_until(lab, lab->now + MINUTE);
    lab_pass(lab, 40ull * SECOND); // node D has been asked and is gone
    w = arp(MAC_OFFICE, MAC_C, 2, NODE_C, OFFICE);
    lab_send(lab, 3, &w);
    lab_send(lab, 3, &in);
    assert_int_equal(lab->count, 2);
    for (int i = 0; i < 3; i++)
        lab_pass(lab, SECOND);
    lab_send(lab, 3, &in);
    for (int i = 0; i < 3; i++)
        lab_pass(lab, SECOND);
    assert_int_equal(lab->count, 1);
    assert_hex(&lab->out[0].frame, 26, "02010101 0a020067 0301");
    assert_quotes(&lab->out[0].frame, &in);
}

static void hosts_inside_meet_by_their_outer_addresses(void **state)
{
    struct lab *lab = *state;
    struct wire w = udp_of(&end_d, 4000, NODE_C, 53);
    passes(lab, &end_d, &w, &end_c);
    w = udp_of(&end_e, 5000, NODE_C, 53);
    passes(lab, &end_e, &w, &end_c);
    w = udp_of(&end_d, 4000, WAN, 5000);
    lab_refused(lab, 4, &w, VNET_DROP_NAT_FILTERED); // E has not asked yet
    w = udp_of(&end_e, 5000, WAN, 4000);
    assert_ends(passes(lab, &end_e, &w, &end_d), WAN, 5000, NODE_D, 4000);
    w = udp_of(&end_d, 4000, WAN, 5000);
    assert_ends(passes(lab, &end_d, &w, &end_e), WAN, 4000, NODE_E, 5000);
    w = udp_of(&end_d, 4000, WAN, 9); // nobody's port: the router's
    lab_told(lab, 4, &w, VNET_DROP_NO_PORT, 0x0303);
    w = ping_of(MAC_INSIDE, MAC_D, NODE_D, WAN, 3);
    assert_hex(passes(lab, &end_d, &w, &end_d), 26, "02010101 c0a80568 0000");
}

static void fragments_follow_the_first(void **state)
{
    struct lab *lab = *state;
    struct wire data = {.n = 100};
    struct wire taken = udp_of(&end_d, 4000, NODE_C, 53);
    passes(lab, &end_d, &taken, &end_c);
    struct wire whole = udp(MAC_INSIDE, MAC_E, NODE_E, NODE_C, 4000, 53, &data);
    struct wire w = part(&whole, 64, 108);
    lab_refused(lab, 5, &w, VNET_DROP_FRAGMENT);
    w = part(&whole, 0, 64);
    struct wire joined = *passes(lab, &end_e, &w, &end_c);
    w = part(&whole, 64, 108);
    const struct wire *got = passes(lab, &end_e, &w, &end_c);
    memcpy(joined.at + joined.n, got->at + 34, got->n - 34);
    joined.n += got->n - 34;
    unsigned port = number_at(&joined, 34, 2);
    assert_int_not_equal(port, 4000);
    assert_ends(&joined, WAN, port, NODE_C, 53);

    whole = udp(MAC_OFFICE, MAC_C, NODE_C, WAN, 53, port, &data);
    w = part(&whole, 0, 64);
    joined = *passes(lab, &end_c, &w, &end_e);
    w = part(&whole, 64, 108);
    got = passes(lab, &end_c, &w, &end_e);
    memcpy(joined.at + joined.n, got->at + 34, got->n - 34);
    joined.n += got->n - 34;
    assert_ends(&joined, NODE_C, 53, NODE_E, 4000);

    lab_pass(lab, 29ull * SECOND);
    wait_until(lab, lab->now + SECOND);
    lab_send(lab, 3, &w);
    assert_int_equal(lab->count, 0);
}

static void the_table_is_bounded(void **state)
{
    struct vnet_limits limits = vnet_default_limits;
    struct lab *lab = *state;
    limits.mappings = 3;
    vnet_free(lab->v);
    open_lab(lab, &limits);
    for (unsigned i = 0; i < 5; i++) {
        lab->now++;
        const struct wire w = udp_of(&end_d, 4000 + i, NODE_C, 53);
        passes(lab, &end_d, &w, &end_c);
        const struct wire first = udp_of(&end_d, 4000, NODE_C, 53); // is kept: it is used
        passes(lab, &end_d, &first, &end_c);
    }
    static const bool there[] = {true, false, false, true, true};
    for (unsigned i = 0; i < 5; i++) {
        const struct wire w = udp_of(&end_c, 53, WAN, 4000 + i);
        lab_send(lab, 3, &w);
        assert_int_equal(lab->count, there[i]);
    }
    assert_int_equal(vnet_network_counters(lab->v, 2)->nat_evicted, 2);

    limits.mappings = 0;
    vnet_free(lab->v);
    open_lab(lab, &limits);
    const struct wire w = udp_of(&end_d, 4000, NODE_C, 53);
    lab_refused(lab, 4, &w, VNET_DROP_NAT_FULL);
}

static void ports_run_out(void **state)
{
    struct vnet_limits limits = vnet_default_limits;
    struct lab *lab = *state;
    limits.mappings = 2000;
    vnet_free(lab->v);
    open_lab(lab, &limits);
    unsigned found = 0;
    for (unsigned i = 0; i < 600; i++) { // hosts that all want port 7
        struct end host = end_d;
        host.address = INSIDE + 1 + i % 200;
        const struct wire w = udp_of(&host, 1 + 2 * (i / 200), NODE_C, 53);
        lab_send(lab, 4, &w);
        found += lab->count;
    }
    assert_int_equal(found, 512); // the odd well-known ones
    assert_int_equal(lab_drops(lab, 4, VNET_DROP_NAT_FULL), 88);
}

static void nothing_else_gets_through(void **state)
{
    static const unsigned others[] = {2, 47, 50, 132};
    struct lab *lab = *state;
    struct wire payload = {.n = 40};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const struct wire w = ipv4(MAC_INSIDE, MAC_D, NODE_D, NODE_C, others[i], &payload);
        lab_refused(lab, 4, &w, VNET_DROP_NAT_PROTOCOL);
        assert_int_equal(lab->count, 0);
    }
    struct wire w = ping_of(MAC_INSIDE, MAC_D, NODE_D, NODE_C, 4);
    w.at[34] = 13; // a timestamp
    lab_refused(lab, 4, &w, VNET_DROP_NAT_PROTOCOL);
    static const struct {
        unsigned protocol, header;
        enum vnet_drop why;
    } cut[] = {{UDP, 8, VNET_DROP_BAD_UDP}, {TCP, 20, VNET_DROP_BAD_TCP}};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        for (payload.n = 0; payload.n < cut[i].header; payload.n++) {
            w = ipv4(MAC_INSIDE, MAC_D, NODE_D, NODE_C, cut[i].protocol, &payload);
            lab_refused(lab, 4, &w, cut[i].why);
        }
    }
    w = ping_of(MAC_OFFICE, MAC_C, NODE_C, NODE_D, 4); // an address that is nowhere outside
    lab_told(lab, 3, &w, VNET_DROP_NO_ROUTE, 0x0300);
}

#define NAT_TEST(name) cmocka_unit_test_setup_teardown(name, nat_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NAT_TEST(udp_comes_back),
        NAT_TEST(only_who_was_asked_may_answer),
        NAT_TEST(a_taken_port_gives_one_like_it),
        NAT_TEST(udp_lives_by_what_goes_out),
        NAT_TEST(connections_live_long),
        NAT_TEST(half_open_connections_do_not),
        NAT_TEST(pings_come_back),
        NAT_TEST(errors_find_the_sender),
        NAT_TEST(errors_from_inside_find_the_sender),
        NAT_TEST(errors_of_the_router_itself_do_too),
        NAT_TEST(hosts_inside_meet_by_their_outer_addresses),
        NAT_TEST(fragments_follow_the_first),
        NAT_TEST(the_table_is_bounded),
        NAT_TEST(ports_run_out),
        NAT_TEST(nothing_else_gets_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
