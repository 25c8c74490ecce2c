// Queues of clients that are slow, and what they leave for others.
#include "vnet/daemon/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

enum { CLIENTS = 16, SMALL = 64, USUAL = 1514, JUMBO = 9014 };

// A lab with one network of two plugs: what plug 0 says, plug 1 hears, in `current`.
struct world {
    struct vnet *v;
    struct queue_share share;
    struct queue *queues[CLIENTS];
    struct queue *to; // what comes out goes there
    bool taken;
};

static const struct vnet_limits limits = {.networks = 1,
                                          .plugs = CLIENTS,
                                          .macs_per_plug = 4,
                                          .leases = 4,
                                          .neighbours = 4,
                                          .mappings = 4,
                                          .small_frames = 128,
                                          .frames = 128,
                                          .jumbo_frames = 64,
                                          .deliveries = 64};

static void on_output(void *arg, unsigned plug, struct frame *f)
{
    struct world *w = arg;
    (void)plug;
    w->taken = queue_put(w->to, &w->share, f);
}

static int make_world(void **state)
{
    struct err e;
    struct world *w = xcalloc(1, sizeof *w);
    const struct vnet_network net = {.name = "net",
                                     .router = 0xc0a80001,
                                     .prefix = 24,
                                     .mtu = VNET_MTU_MAX,
                                     .lease_seconds = 60};
    w->v = vnet_new(&limits, 1, &(struct vnet_owner){.output = on_output, .arg = w});
    queue_share_init(&w->share, &limits);
    for (int i = 0; i < CLIENTS; i++)
        w->queues[i] = xcalloc(1, sizeof(struct queue));
    *state = w;
    return vnet_add_network(w->v, &net, &e) < 0 ||
           vnet_add_plug(w->v, &(struct vnet_plug){.name = "a"}, &e) < 0 ||
           vnet_add_plug(w->v, &(struct vnet_plug){.name = "b"}, &e) < 0;
}

static int free_world(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < CLIENTS; i++) {
        queue_drop(w->queues[i], &w->share, w->v, w->queues[i]->count);
        free(w->queues[i]);
    }
    vnet_free(w->v);
    free(w);
    return 0;
}

// A frame of n bytes, whose last is `mark`, for a queue. Whether that took it.
static bool put(struct world *w, int queue, size_t n, uint8_t mark)
{
    uint8_t frame[JUMBO] = {0x52, 0, 0, 0, 0, 2, 0x52, 0, 0, 0, 0, 1, 0x08, 0x00};
    frame[n - 1] = mark;
    w->to = w->queues[queue];
    w->taken = false;
    vnet_input(w->v, 0, 0, frame, n);
    vnet_advance(w->v, 0);
    return w->taken;
}

static unsigned fill(struct world *w, int queue, size_t n)
{
    unsigned count = 0;
    while (put(w, queue, n, 0))
        count++;
    return count;
}

static void first_in_first_out(void **state)
{
    struct world *w = *state;
    struct frame *out[8];
    for (uint8_t i = 1; i <= 6; i++)
        assert_true(put(w, 0, USUAL, i));
    queue_drop(w->queues[0], &w->share, w->v, 2);
    assert_int_equal(queue_peek(w->queues[0], out, 8), 4);
    for (uint8_t i = 0; i < 4; i++)
        assert_int_equal(vnet_frame_data(out[i])[USUAL - 1], i + 3);
    assert_int_equal(queue_peek(w->queues[0], out, 3), 3);
    assert_int_equal(w->queues[0]->count, 4);
}

static void goes_round(void **state)
{
    struct world *w = *state;
    struct frame *out[1];
    for (unsigned i = 0; i < 3 * QUEUE_MAX; i++) {
        assert_true(put(w, 0, SMALL, (uint8_t)i));
        assert_int_equal(queue_peek(w->queues[0], out, 1), 1);
        assert_int_equal(vnet_frame_data(out[0])[SMALL - 1], (uint8_t)i);
        queue_drop(w->queues[0], &w->share, w->v, 1);
    }
}

static void one_gets_a_part(void **state)
{
    struct world *w = *state;
    unsigned got = fill(w, 0, USUAL);
    assert_in_range(got, limits.frames / 10, limits.frames / 5);
    assert_true(put(w, 1, USUAL, 0));
    assert_true(put(w, 0, SMALL, 0)); // a class of its own
    assert_true(put(w, 0, JUMBO, 0));
}

static void however_many_something_is_left(void **state)
{
    struct world *w = *state;
    const unsigned reserve = limits.frames / 4 / limits.plugs;
    unsigned sum = 0;
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < CLIENTS - 1; i++)
            sum += fill(w, i, USUAL);
    assert_in_range(sum, limits.frames / 2, limits.frames * 3 / 4);
    assert_in_range(fill(w, CLIENTS - 1, USUAL), reserve, limits.frames / 4);
}

static void what_is_dropped_can_be_used_again(void **state)
{
    struct world *w = *state;
    unsigned first = fill(w, 0, JUMBO);
    queue_drop(w->queues[0], &w->share, w->v, w->queues[0]->count);
    assert_int_equal(w->share.used[QUEUE_CLASSES - 1], 0);
    assert_int_equal(fill(w, 0, JUMBO), first);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_in_first_out),
        TEST(goes_round),
        TEST(one_gets_a_part),
        TEST(however_many_something_is_left),
        TEST(what_is_dropped_can_be_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
