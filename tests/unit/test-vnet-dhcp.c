// DHCP as clients and relays speak it with the router.
#include "vnet-lab.h"

#include <stdio.h>

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };
enum { AT_DHCP = 42, AT_OPTIONS = AT_DHCP + 240 };

#define UNICAST_TO_SERVER 1u // in struct ask, beside the flags of DHCP

// What a client sends; zeros and NULLs are left out.
struct ask {
    const char *mac; // MAC_A when NULL
    uint32_t flags, client, relay;
    uint32_t requested, server;
    const char *more; // options in hexadecimal
};

static struct wire message(unsigned type, struct ask ask)
{
    const char *mac = ask.mac ? ask.mac : MAC_A;
    struct wire w = {0};
    hex(&w, "01 01 06 00 01020304 0000");
    number(&w, ask.flags & 0x8000, 2);
    number(&w, ask.client, 4);
    w.n += 8; // yours, next server
    number(&w, ask.relay, 4);
    hex(&w, mac);
    w.n = 236;
    hex(&w, "63825363 3501");
    number(&w, type, 1);
    if (ask.requested) {
        hex(&w, "3204");
        number(&w, ask.requested, 4);
    }
    if (ask.server) {
        hex(&w, "3604");
        number(&w, ask.server, 4);
    }
    hex(&w, ask.more ? ask.more : "");
    hex(&w, "ff");
    bool unicast = ask.relay || (ask.flags & UNICAST_TO_SERVER);
    return udp(unicast ? MAC_ROUTER : MAC_ALL, mac, ask.relay ? ask.relay : ask.client,
               unicast ? HOME : UINT32_MAX, ask.relay ? 67 : 68, 67, &w);
}

static void send(struct lab *lab, unsigned type, struct ask ask)
{
    struct wire w = message(type, ask);
    lab_send(lab, 0, &w);
}

// Where an option's length stands in an answer; 0: it is not there.
static size_t option(const struct wire *w, unsigned code)
{
    size_t at = AT_OPTIONS;
    while (number_at(w, at, 1) != 255) {
        if (number_at(w, at, 1) == code)
            return at + 1;
        at += 2 + number_at(w, at + 1, 1);
    }
    return 0;
}

static uint32_t option32(const struct wire *w, unsigned code)
{
    size_t at = option(w, code);
    assert_int_not_equal(at, 0);
    assert_int_equal(number_at(w, at, 1), 4);
    return number_at(w, at + 1, 4);
}

// The answer is sound and of this type; returns the address in it.
static uint32_t assert_type(const struct lab *lab, unsigned type)
{
    const struct wire *w = lab_answer(lab);
    assert_int_equal(word_sum(w->at + 14, 20, 0), 0xffff);
    assert_int_equal(udp_sum(w), 0xffff);
    assert_true(w->n >= AT_DHCP + 300);
    assert_hex(w, AT_DHCP, "02 01 06 00 01020304");
    assert_int_equal(number_at(w, option(w, 53) + 1, 1), type);
    assert_int_equal(option32(w, 54), HOME);
    return number_at(w, AT_DHCP + 16, 4);
}

static uint32_t offered(struct lab *lab, const char *mac, uint32_t requested)
{
    send(lab, DISCOVER, (struct ask){.mac = mac, .requested = requested});
    return assert_type(lab, OFFER);
}

static uint32_t obtained(struct lab *lab, const char *mac, uint32_t requested)
{
    uint32_t address = offered(lab, mac, requested);
    send(lab, REQUEST, (struct ask){.mac = mac, .requested = address, .server = HOME});
    assert_int_equal(assert_type(lab, ACK), address);
    return address;
}

static void assert_silence(const struct lab *lab)
{
    assert_int_equal(lab_answers(lab, 0), 0);
}

static void a_node_has_its_address(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(obtained(lab, MAC_A, 0), NODE_A);
    const struct wire *w = lab_answer(lab);
    assert_hex(w, 0, MAC_A MAC_ROUTER);
    assert_hex(w, 26, "c0a80001 c0a80065 0043 0044");
    assert_int_equal(lab->count, 3); // both peers saw the request, neither the answer
    assert_int_equal(obtained(lab, "52cccccccc63", 0), (HOME & ~255u) + 199);
    assert_int_equal(obtained(lab, "52cccccccc00", HOME + 49), (HOME & ~255u) + 100);
    uint32_t other = obtained(lab, "52cccccccc64", 0) & 255; // NN is 100
    assert_true(other < 100 || other > 199);
}

static void parameters_come_in_order(void **state)
{
    struct lab *lab = *state;
    send(lab, DISCOVER, (struct ask){0}); // all
    const struct wire *w = lab_answer(lab);
    assert_hex(w, AT_OPTIONS,
               "350102 3604c0a80001 330400000e10 3a0400000708 3b0400000c4e 0104ffffff00 "
               "0304c0a80001 0604c0a80001"
               "0f086c61622e74657374 1a0205dc ff");
    send(lab, DISCOVER, (struct ask){.more = "3707 1a 03 03 f9 06 01 1a"});
    w = lab_answer(lab);
    assert_hex(w, AT_OPTIONS,
               "350102 3604c0a80001 330400000e10 3a0400000708 3b0400000c4e 0104ffffff00 1a0205dc "
               "0304c0a80001 0604c0a80001"
               "ff00");
}

static void identifier_and_relay_information_come_back(void **state)
{
    struct lab *lab = *state;
    send(lab, DISCOVER, (struct ask){.more = "3701 01 3d04 00aabbcc 5203 010155"});
    assert_hex(lab_answer(lab), AT_OPTIONS,
               "350102 3604c0a80001 3d0400aabbcc 330400000e10 3a0400000708 3b0400000c4e "
               "0104ffffff00 5203010155 ff");
}

// Clones of a VM send the same identifier; a machine sends another one in each of its boot stages.
static void a_client_is_its_identifier_and_its_mac(void **state)
{
    struct lab *lab = *state;
    struct ask ask = {.mac = MAC_X, .more = "3d03 00aabb"};
    send(lab, DISCOVER, ask);
    uint32_t address = assert_type(lab, OFFER);
    ask.mac = "020000000002";
    send(lab, DISCOVER, ask);
    assert_int_not_equal(assert_type(lab, OFFER), address);
    ask.mac = MAC_X;
    send(lab, DISCOVER, ask);
    assert_int_equal(assert_type(lab, OFFER), address);
    assert_int_not_equal(offered(lab, MAC_X, 0), address);
}

static void a_free_wish_is_granted(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(obtained(lab, MAC_X, HOME + 49), HOME + 49);
    assert_int_not_equal(offered(lab, "020000000002", HOME + 49), HOME + 49); // taken
    assert_int_not_equal(offered(lab, "020000000003", HOME), HOME);           // the router's
    assert_int_not_equal(offered(lab, "020000000004", NODE_A), NODE_A);       // a node's
    assert_int_not_equal(offered(lab, "020000000005", HOME | 255), HOME | 255);
    assert_int_equal(obtained(lab, MAC_X, HOME + 60), HOME + 49); // it has one
    lab->now += 3601 * (uint64_t)SECOND;
    assert_int_equal(obtained(lab, "020000000006", HOME + 49), HOME + 49); // the lease has ended
}

static void a_client_that_boots_again_is_answered(void **state)
{
    struct lab *lab = *state;
    uint32_t address = obtained(lab, MAC_X, 0);
    send(lab, REQUEST, (struct ask){.mac = MAC_X, .requested = address});
    assert_int_equal(assert_type(lab, ACK), address);
    send(lab, REQUEST, (struct ask){.mac = MAC_X, .requested = address ^ 1});
    assert_type(lab, NAK);
    send(lab, REQUEST, (struct ask){.mac = MAC_X, .requested = OFFICE + 9});
    assert_int_equal(assert_type(lab, NAK), 0);
    assert_hex(lab_answer(lab), 0, MAC_ALL);
    assert_hex(lab_answer(lab), 30, "ffffffff");
    assert_int_equal(lab->count, 3 + 2); // the request to both peers, the refusal to all
    send(lab, REQUEST, (struct ask){.mac = "020000000002", .requested = HOME + 49});
    assert_silence(lab); // no record, and the network is right
}

static void leases_are_renewed(void **state)
{
    struct lab *lab = *state;
    uint32_t address = obtained(lab, MAC_X, HOME + 49);
    struct ask renew = {.mac = MAC_X, .client = address, .flags = UNICAST_TO_SERVER};
    lab->now += 3000 * (uint64_t)SECOND;
    send(lab, REQUEST, renew);
    assert_int_equal(assert_type(lab, ACK), address);
    assert_hex(lab_answer(lab), 0, "020000000001");
    assert_int_equal(number_at(lab_answer(lab), AT_DHCP + 12, 4), address);
    renew.flags = 0x8000; // rebinding; an address in use is answered by unicast all the same
    lab->now += 3000 * (uint64_t)SECOND;
    send(lab, REQUEST, renew);
    assert_int_equal(assert_type(lab, ACK), address);
    assert_int_equal(number_at(lab_answer(lab), 30, 4), address);
    assert_int_not_equal(offered(lab, "020000000002", address), address);
    renew.client = OFFICE + 9;
    send(lab, REQUEST, renew);
    assert_type(lab, NAK);
}

static void another_servers_offer_ends_ours(void **state)
{
    struct lab *lab = *state;
    uint32_t address = offered(lab, MAC_X, HOME + 49);
    send(lab, REQUEST, (struct ask){.mac = MAC_X, .requested = address, .server = HOME + 1});
    assert_silence(lab);
    assert_int_equal(offered(lab, "020000000002", address), address);
    send(lab, REQUEST, (struct ask){.mac = MAC_X, .requested = address, .server = HOME});
    assert_type(lab, NAK); // too late
    lab->now += 31 * (uint64_t)SECOND;
    assert_int_equal(offered(lab, "020000000003", address), address); // it was never taken
}

static void released_addresses_are_free(void **state)
{
    struct lab *lab = *state;
    uint32_t address = obtained(lab, MAC_X, HOME + 49);
    send(lab, RELEASE, (struct ask){.mac = "020000000002", .client = address, .server = HOME});
    assert_int_not_equal(offered(lab, "020000000002", address), address);
    send(lab, RELEASE, (struct ask){.mac = MAC_X, .client = address, .server = HOME});
    assert_silence(lab);
    assert_int_equal(offered(lab, MAC_X, 0), address); // kept for it while nobody wants it
    send(lab, RELEASE, (struct ask){.mac = MAC_X, .client = address, .server = HOME});
    assert_int_equal(offered(lab, "020000000003", address), address);
}

static void declined_addresses_are_nobodys(void **state)
{
    struct lab *lab = *state;
    uint32_t address = obtained(lab, MAC_X, HOME + 49);
    send(lab, DECLINE, (struct ask){.mac = "020000000002", .requested = address, .server = HOME});
    assert_int_equal(offered(lab, MAC_X, 0), address); // was not the other's to decline
    send(lab, DECLINE, (struct ask){.mac = MAC_X, .requested = address, .server = HOME});
    assert_silence(lab);
    assert_int_not_equal(offered(lab, MAC_X, address), address);
    send(lab, DECLINE, (struct ask){.requested = NODE_A, .server = HOME});
    assert_int_not_equal(offered(lab, MAC_A, 0), NODE_A);
    lab->now += 601 * (uint64_t)SECOND;
    assert_int_equal(offered(lab, MAC_A, 0), NODE_A);
}

static void inform_is_told_the_rest(void **state)
{
    struct lab *lab = *state;
    send(lab, INFORM, (struct ask){.client = HOME + 7});
    assert_int_equal(assert_type(lab, ACK), 0);
    assert_int_equal(number_at(lab_answer(lab), 30, 4), HOME + 7);
    assert_int_equal(option(lab_answer(lab), 51), 0);
    assert_int_equal(option32(lab_answer(lab), 1), 0xffffff00);
}

static void relays_and_broadcast_clients_are_reached(void **state)
{
    struct lab *lab = *state;
    send(lab, DISCOVER, (struct ask){.flags = 0x8000});
    assert_type(lab, OFFER);
    assert_hex(lab_answer(lab), 0, MAC_ALL);
    assert_hex(lab_answer(lab), 30, "ffffffff 0043 0044");
    send(lab, DISCOVER, (struct ask){.relay = HOME + 30});
    assert_type(lab, OFFER);
    assert_hex(lab_answer(lab), 0, MAC_A);
    assert_hex(lab_answer(lab), 30, "c0a8001f 0043 0043");
    send(lab, REQUEST, (struct ask){.relay = HOME + 30, .requested = OFFICE + 9});
    assert_type(lab, NAK);
    assert_hex(lab_answer(lab), 30, "c0a8001f 0043 0043");
    assert_hex(lab_answer(lab), AT_DHCP + 10, "8000");
    struct wire w = message(DISCOVER, (struct ask){.relay = OFFICE + 9});
    lab_refused(lab, 0, &w, VNET_DROP_MARTIAN);
}

static void addresses_run_out(void **state)
{
    struct vnet_limits limits = vnet_default_limits;
    struct lab *lab = *state;
    limits.leases = 2;
    vnet_free(lab->v);
    lab_limited(lab, &limits);
    obtained(lab, "020000000001", 0);
    obtained(lab, "020000000002", 0);
    obtained(lab, MAC_A, 0); // a node needs no record
    struct wire w = message(DISCOVER, (struct ask){.mac = "020000000003"});
    lab_refused(lab, 0, &w, VNET_DROP_NO_ADDRESS);
    lab->now += 3601 * (uint64_t)SECOND;
    obtained(lab, "020000000003", 0);
}

// 254 hosts without nodes and the router. A plug gets two thirds of what it finds.
static void every_address_is_given_once(void **state)
{
    bool seen[256] = {false};
    char mac[13];
    struct lab *lab = *state;
    struct vnet_limits limits = vnet_default_limits;
    struct err e;
    limits.macs_per_plug = 300;
    vnet_free(lab->v);
    lab_limited(lab, &limits);
    unsigned count = 0;
    for (unsigned share = 103; count < 153; share = (153 - count) * 2 / 3 + 1) {
        for (unsigned i = 0; i < share; i++) {
            snprintf(mac, sizeof mac, "02000001%04x", ++count);
            uint32_t host = obtained(lab, mac, 0) & 255;
            assert_false(seen[host]);
            seen[host] = true;
        }
        struct wire w = message(DISCOVER, (struct ask){.mac = MAC_X});
        lab_refused(lab, 0, &w, VNET_DROP_NO_ADDRESS);
        vnet_remove_plug(lab->v, 0);
        assert_int_equal(vnet_add_plug(lab->v, &(struct vnet_plug){"again"}, &e), 0);
    }
}

static void malformed_messages_are_dropped(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {
        {0, 2}, {1, 6}, {2, 16}, {28, 1}, {236, 0}, {240, 12}, {241, 200}, {242, 0}, {242, 9},
    };
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct wire w = message(DISCOVER, (struct ask){0});
        w.at[AT_DHCP + bad[i].at] = bad[i].value;
        set16(&w, 40, 0);
        lab_refused(lab, 0, &w, VNET_DROP_BAD_DHCP);
    }
    struct wire w = message(REQUEST, (struct ask){0}); // for what?
    lab_refused(lab, 0, &w, VNET_DROP_BAD_DHCP);
    w = message(INFORM, (struct ask){0});
    lab_refused(lab, 0, &w, VNET_DROP_BAD_DHCP);
    w = message(OFFER, (struct ask){0});
    lab_refused(lab, 0, &w, VNET_DROP_BAD_DHCP);
}

// Cut anywhere, with lengths that fit: an answer only to what still has its type.
static void cut_messages_do_no_harm(void **state)
{
    struct lab *lab = *state;
    struct wire whole = message(DISCOVER, (struct ask){.requested = HOME + 49, .more = "3701 01"});
    for (size_t n = AT_DHCP; n < whole.n; n++) {
        struct wire w = whole;
        w.n = n;
        set16(&w, 16, (unsigned)n - 14);
        set16(&w, 38, (unsigned)n - 34);
        set16(&w, 40, 0);
        seal_ipv4(&w);
        lab_send(lab, 0, &w);
        if (n < AT_OPTIONS + 3)
            assert_silence(lab);
        lab_send_part(lab, 0, &whole, n); // with lengths that do not fit
        assert_silence(lab);
    }
}

// Starvation, by as many clients as the plug makes up, with or without taking what is offered.
static void others_get_their_share(void **state)
{
    struct lab *lab = *state;
    uint32_t before = offered(lab, MAC_X, 0);
    unsigned answered = 0;
    for (unsigned i = 0; i < 2000; i++) {
        char mac[13];
        snprintf(mac, sizeof mac, "02000002%04x", i);
        struct ask ask = {.mac = mac, .requested = i % 2 ? (HOME & ~255u) + i % 254 : 0};
        ask.server = i % 2 ? HOME : 0;
        struct wire w = message(i % 2 ? REQUEST : DISCOVER, ask);
        memcpy(w.at + 6, "\x02\x00\x00\x00\x00\x09", 6); // all from one MAC of Ethernet's
        lab_send(lab, 1, &w);
        answered += lab_answers(lab, 1);
    }
    assert_true(answered >= 100);
    assert_int_equal(obtained(lab, MAC_A, 0), NODE_A);
    uint32_t mine = obtained(lab, MAC_X, 0);
    assert_true(mine == before || mine != 0);
    for (unsigned i = 0; i < 20; i++) {
        char mac[13];
        snprintf(mac, sizeof mac, "02000003%04x", i);
        obtained(lab, mac, 0);
    }
}

static void nobody_speaks_for_others(void **state)
{
    struct lab *lab = *state;
    uint32_t address = obtained(lab, MAC_X, 0);
    struct ask ask = {.mac = MAC_X, .client = address, .requested = address, .server = HOME};
    static const unsigned types[] = {RELEASE, DECLINE, REQUEST};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct wire w = message(types[i], ask);
        memcpy(w.at + 6, "\x02\x00\x00\x00\x00\x09", 6);
        lab_refused(lab, 1, &w, VNET_DROP_STOLEN_MAC);
        ask.client = 0;
    }
    assert_int_equal(obtained(lab, MAC_X, 0), address);
}

static void find_lease(const struct lab *lab, unsigned network, uint32_t address,
                       struct vnet_lease *out)
{
    for (unsigned i = 0; i < vnet_default_limits.leases; i++)
        if (vnet_lease(lab->v, network, i, out) && out->address == address)
            return;
    fail();
}

static void leases_tell_who_has_them(void **state)
{
    struct lab *lab = *state;
    struct vnet_lease l;
    struct ask ask = {.mac = MAC_X, .more = "3d03 00aabb 0c05 54696e7900"}; // "Tiny", with a NUL
    uint64_t changes = vnet_lease_changes(lab->v);
    send(lab, DISCOVER, ask);
    ask.requested = assert_type(lab, OFFER);
    ask.server = HOME;
    assert_true(vnet_lease_changes(lab->v) == changes); // an offer is none
    send(lab, REQUEST, ask);
    assert_type(lab, ACK);
    assert_false(vnet_lease_changes(lab->v) == changes);
    find_lease(lab, 0, number_at(lab_answer(lab), AT_DHCP + 16, 4), &l);
    assert_string_equal(l.host, "tiny");
    assert_int_equal(l.id_length, 3);
    assert_memory_equal(l.id, "\0\xaa\xbb", 3);
    assert_memory_equal(&l.mac, "\2\0\0\0\0\1", 6);
    assert_true(l.until == lab->now + 3600 * (uint64_t)SECOND);
    obtained(lab, MAC_A, 0);
    find_lease(lab, 0, NODE_A, &l);
    assert_string_equal(l.host, "");
}

static void bad_host_names_are_none(void **state)
{
    static const char *const names[] = {"0c01 2d", "0c02 612d", "0c03 612e62", "0c02 c3a4",
                                        "0c06 726f75746572"}; // "-", "a-", "a.b", a-umlaut, router
    struct lab *lab = *state;
    struct vnet_lease l;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        send(lab, DISCOVER, (struct ask){.mac = MAC_X});
        uint32_t address = assert_type(lab, OFFER);
        send(lab, REQUEST,
             (struct ask){.mac = MAC_X, .requested = address, .server = HOME, .more = names[i]});
        assert_int_equal(assert_type(lab, ACK), address);
        find_lease(lab, 0, address, &l);
        assert_string_equal(l.host, "");
    }
}

static void nodes_have_theirs_reserved(void **state)
{
    const struct vnet_node web = {"Web", 0, {{2, 0, 0, 0, 0, 9}}, HOME + 49, {{0}}};
    const struct vnet_node any = {"any", 0, {{2, 0, 0, 0, 0, 10}}, 0, {{0}}};
    const struct vnet_node other = {"b", 0, {{2, 0, 0, 0, 0, 11}}, NODE_A + 1, {{0}}};
    struct lab *lab = *state;
    struct vnet_lease l;
    struct err e;
    assert_int_equal(vnet_add_node(lab->v, &web, &e), 0);
    assert_int_equal(vnet_add_node(lab->v, &any, &e), 0);
    assert_int_equal(vnet_add_node(lab->v, &other, &e), 0);
    assert_int_not_equal(obtained(lab, MAC_X, HOME + 49), HOME + 49);
    assert_int_equal(obtained(lab, "020000000009", HOME + 60), HOME + 49);
    find_lease(lab, 0, HOME + 49, &l);
    assert_string_equal(l.host, "web");
    send(lab, RELEASE, (struct ask){.mac = "020000000009", .client = HOME + 49, .server = HOME});
    assert_int_not_equal(obtained(lab, "020000000003", HOME + 49), HOME + 49);
    uint32_t address = obtained(lab, "02000000000a", HOME + 60);
    assert_int_equal(address, HOME + 60);
    lab->now += 4000 * (uint64_t)SECOND;
    assert_int_not_equal(obtained(lab, "020000000004", address), address); // it is the node's now
    assert_int_equal(obtained(lab, "02000000000b", 0), NODE_A + 1);
    assert_int_not_equal(obtained(lab, MAC_B, 0), NODE_A + 1); // which would have had it
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(a_node_has_its_address),
        LAB_TEST(parameters_come_in_order),
        LAB_TEST(identifier_and_relay_information_come_back),
        LAB_TEST(a_client_is_its_identifier_and_its_mac),
        LAB_TEST(a_free_wish_is_granted),
        LAB_TEST(a_client_that_boots_again_is_answered),
        LAB_TEST(leases_are_renewed),
        LAB_TEST(another_servers_offer_ends_ours),
        LAB_TEST(released_addresses_are_free),
        LAB_TEST(declined_addresses_are_nobodys),
        LAB_TEST(inform_is_told_the_rest),
        LAB_TEST(relays_and_broadcast_clients_are_reached),
        LAB_TEST(addresses_run_out),
        LAB_TEST(every_address_is_given_once),
        LAB_TEST(others_get_their_share),
        LAB_TEST(nobody_speaks_for_others),
        LAB_TEST(leases_tell_who_has_them),
        LAB_TEST(bad_host_names_are_none),
        LAB_TEST(nodes_have_theirs_reserved),
        LAB_TEST(malformed_messages_are_dropped),
        LAB_TEST(cut_messages_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
