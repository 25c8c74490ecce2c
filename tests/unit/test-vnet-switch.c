// The switch: who gets a frame, and why somebody does not.
#include "vnet-lab.h"

static struct wire frame(const char *to, const char *from, const char *ethertype)
{
    struct wire w = {0};
    hex(&w, to);
    hex(&w, from);
    hex(&w, ethertype);
    hex(&w, "6001020304");
    return w;
}

// IPv6, which the switch carries and the router does not mind.
static void send(struct lab *lab, unsigned plug, const char *to, const char *from)
{
    struct wire w = frame(to, from, "86dd");
    lab_send(lab, plug, &w);
}

static void refuse(struct lab *lab, unsigned plug, const char *to, const char *from,
                   enum vnet_drop why)
{
    struct wire w = frame(to, from, "86dd");
    lab_refused(lab, plug, &w, why);
}

static void unknown_is_flooded_and_known_is_not(void **state)
{
    struct lab *lab = *state;
    send(lab, 0, MAC_B, MAC_A);
    assert_int_equal(lab->count, 2); // plugs 1 and 2; 3 is another network
    assert_int_equal(lab_answers(lab, 0), 0);
    send(lab, 1, MAC_A, MAC_B);
    assert_int_equal(lab->count, 1);
    assert_int_equal(lab->out[0].plug, 0);
    struct wire want = frame(MAC_A, MAC_B, "86dd");
    assert_int_equal(lab->out[0].frame.n, want.n);
    assert_memory_equal(lab->out[0].frame.at, want.at, want.n);
    send(lab, 0, MAC_B, MAC_A);
    assert_int_equal(lab->count, 1);
    assert_int_equal(lab->out[0].plug, 1);
}

static void groups_reach_all_others(void **state)
{
    static const char *const groups[] = {MAC_ALL, "333300000001", "01005e000001"};
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        send(lab, 1, groups[i], MAC_B);
        assert_int_equal(lab->count, 2);
        assert_int_equal(lab->out[0].plug, 0);
        assert_int_equal(lab->out[1].plug, 2);
    }
}

static void other_ethertypes_are_dropped(void **state)
{
    static const char *const types[] = {"4321", "8100", "888e", "0026", "05dc", "86de"};
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct wire w = frame(MAC_ALL, MAC_A, types[i]);
        lab_refused(lab, 0, &w, VNET_DROP_ETHERTYPE);
        assert_int_equal(lab->count, 0);
    }
}

static void bad_sources_are_dropped(void **state)
{
    struct lab *lab = *state;
    refuse(lab, 0, MAC_B, "030000000001", VNET_DROP_BAD_SOURCE);
    refuse(lab, 0, MAC_B, MAC_ALL, VNET_DROP_BAD_SOURCE);
    refuse(lab, 0, MAC_B, "000000000000", VNET_DROP_BAD_SOURCE);
    refuse(lab, 0, MAC_ALL, MAC_ROUTER, VNET_DROP_STOLEN_MAC);
    assert_int_equal(lab->count, 0);
}

static void a_mac_stays_where_it_is(void **state)
{
    struct lab *lab = *state;
    struct err e;
    send(lab, 0, MAC_ALL, MAC_A);
    refuse(lab, 1, MAC_ALL, MAC_A, VNET_DROP_STOLEN_MAC);
    assert_int_equal(lab->count, 0);
    send(lab, 3, MAC_ALL, MAC_A); // another network is another matter
    assert_int_equal(lab_drops(lab, 3, VNET_DROP_STOLEN_MAC), 0);
    vnet_remove_plug(lab->v, 0);
    send(lab, 1, MAC_ALL, MAC_A);
    assert_int_equal(lab->count, 1);
    assert_int_equal(vnet_add_plug(lab->v, &(struct vnet_plug){"again"}, &e), 0);
    refuse(lab, 0, MAC_ALL, MAC_A, VNET_DROP_STOLEN_MAC);
}

static void frames_do_not_turn_back(void **state)
{
    struct lab *lab = *state;
    send(lab, 0, MAC_ALL, MAC_A);
    refuse(lab, 0, MAC_A, MAC_X, VNET_DROP_SAME_PLUG);
    assert_int_equal(lab->count, 0);
    refuse(lab, 3, MAC_B, MAC_A, VNET_DROP_NOBODY);
    refuse(lab, 0, MAC_ROUTER, MAC_A, VNET_DROP_NO_ROUTE); // IPv6 to the router
}

static void lengths_have_bounds(void **state)
{
    struct lab *lab = *state;
    struct wire w = frame(MAC_ALL, MAC_A, "86dd");
    for (size_t n = 0; n < 14; n++)
        lab_send_part(lab, 0, &w, n);
    assert_int_equal(lab_drops(lab, 0, VNET_DROP_SHORT_FRAME), 14);
    lab_send_part(lab, 0, &w, 14);
    assert_int_equal(lab->count, 2);
    w.n = VNET_FRAME_MAX;
    lab_send(lab, 0, &w);
    assert_int_equal(lab->count, 2);
    w.n = VNET_FRAME_MAX + 1;
    lab_refused(lab, 0, &w, VNET_DROP_LONG_FRAME);
    assert_int_equal(vnet_counters(lab->v, 0)->frames_in, 17);
    assert_int_equal(vnet_counters(lab->v, 1)->frames_out, 2);
    assert_int_equal(vnet_counters(lab->v, 1)->bytes_out, 14 + VNET_FRAME_MAX);
}

static void macs_are_limited(void **state)
{
    struct vnet_limits limits = vnet_default_limits;
    struct lab *lab = *state;
    limits.macs_per_plug = 2;
    vnet_free(lab->v);
    lab_limited(lab, &limits);
    send(lab, 0, MAC_ALL, MAC_A);
    send(lab, 0, MAC_ALL, MAC_B);
    refuse(lab, 0, MAC_ALL, MAC_X, VNET_DROP_TOO_MANY_MACS);
    send(lab, 0, MAC_ALL, MAC_A);
    assert_int_equal(lab->count, 2);
}

static void queues_are_limited(void **state)
{
    struct vnet_limits limits = vnet_default_limits;
    struct lab *lab = *state;
    struct wire w = frame(MAC_ALL, MAC_A, "86dd");
    limits.small_frames = 2;
    limits.frames = limits.jumbo_frames = 0;
    limits.deliveries = 3;
    vnet_free(lab->v);
    lab_limited(lab, &limits);
    for (int i = 0; i < 3; i++)
        vnet_input(lab->v, lab->now, 0, w.at, w.n);
    assert_int_equal(lab_drops(lab, 2, VNET_DROP_QUEUE_FULL), 1);
    assert_int_equal(lab_drops(lab, 0, VNET_DROP_NO_BUFFER), 1);
    assert_true(vnet_next(lab->v) == lab->now);
    vnet_remove_plug(lab->v, 1); // with two frames on their way to it
    vnet_advance(lab->v, lab->now);
    assert_int_equal(lab->count, 1);
    lab_send(lab, 0, &w); // and all buffers are free again
    lab_send(lab, 0, &w);
    assert_int_equal(lab_drops(lab, 0, VNET_DROP_NO_BUFFER), 1);
}

// With every way for a frame between two guests to end.
static void counters_add_up(void **state)
{
    static const char *const macs[] = {MAC_A, MAC_B, MAC_C};
    struct lab *lab = *state;
    uint64_t in = 0;
    uint64_t out = 0;
    for (unsigned i = 0; i < 3; i++)
        send(lab, i, MAC_ROUTER, macs[i]);
    vnet_set_link(lab->v, 0, VNET_UP, &(struct vnet_link){.delay = 1000, .queue = 10});
    vnet_set_link(lab->v, 1, VNET_DOWN, &(struct vnet_link){.delay = 5000, .queue = 5});
    vnet_set_link(lab->v, 2, VNET_DOWN, &(struct vnet_link){.down = true});
    for (unsigned i = 0; i < 60; i++) {
        struct wire w = frame(macs[i / 3 % 3], macs[i % 3], i % 7 ? "86dd" : "4321");
        vnet_input(lab->v, lab->now, i % 3, w.at, w.n);
    }
    lab_pass(lab, SECOND);
    for (unsigned i = 0; i < 3; i++) {
        const struct vnet_counters *c = vnet_counters(lab->v, i);
        in += c->frames_in;
        out += c->frames_out;
        for (unsigned why = 0; why < VNET_DROP_COUNT; why++)
            out += c->drops[why];
    }
    assert_int_equal(in, 63);
    assert_int_equal(out, in);
    assert_int_equal(lab->count,
                     vnet_counters(lab->v, 0)->frames_out + vnet_counters(lab->v, 1)->frames_out);
    assert_true(lab->count > 0);
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(unknown_is_flooded_and_known_is_not),
        LAB_TEST(groups_reach_all_others),
        LAB_TEST(other_ethertypes_are_dropped),
        LAB_TEST(bad_sources_are_dropped),
        LAB_TEST(a_mac_stays_where_it_is),
        LAB_TEST(frames_do_not_turn_back),
        LAB_TEST(lengths_have_bounds),
        LAB_TEST(macs_are_limited),
        LAB_TEST(queues_are_limited),
        LAB_TEST(counters_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
