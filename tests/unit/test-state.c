// The state machine against a table of its own, written from what people may expect.
#include "host/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// For each state where every input leads; `none` where it leads nowhere.
enum { none = -1 };
static const int expected[ST_COUNT][IN_COUNT] = {
// clang-format off
#define ROW(running, paused, io_error, panicked, reset, shutdown, exited, saved, not_saved, \
            stop, halt, pause, resume, attach) \
    {[IN_RUNNING] = running, [IN_PAUSED] = paused, [IN_IO_ERROR] = io_error, \
     [IN_PANICKED] = panicked, [IN_RESET] = reset, [IN_SHUTDOWN] = shutdown, \
     [IN_EXITED] = exited, [IN_SAVED] = saved, [IN_NOT_SAVED] = not_saved, \
     [IN_SAVE] = stop, [IN_HALT] = halt, [IN_PAUSE] = pause, [IN_RESUME] = resume, \
     [IN_ATTACH] = attach}

    // Nothing runs yet: it may be called off, or fail.
    [ST_STARTING] = ROW(ST_RUNNING, none, none, none, none, none, ST_FAILED, none, none,
                        none, ST_STOPPING, none, none, none),
    // A guest that was saved with a full disk comes back as that.
    [ST_RESTORING] = ROW(ST_RUNNING, none, ST_IO_ERROR, none, none, none, ST_FAILED, none, none,
                         none, ST_STOPPING, none, none, none),
    [ST_RUNNING] = ROW(none, ST_PAUSED, ST_IO_ERROR, ST_PANICKED, ST_RUNNING, ST_STOPPING,
                       ST_FAILED, none, none,
                       ST_SAVING, ST_STOPPING, ST_PAUSED, ST_RUNNING, ST_RUNNING),
    // Standing still: everything but what only a running guest can do.
    [ST_PAUSED] = ROW(ST_RUNNING, none, none, none, none, none, ST_FAILED, none, none,
                      ST_SAVING, ST_STOPPING, ST_PAUSED, ST_PAUSED, ST_PAUSED),
    [ST_IO_ERROR] = ROW(ST_RUNNING, none, none, none, none, none, ST_FAILED, none, none,
                        ST_SAVING, ST_STOPPING, none, ST_IO_ERROR, ST_IO_ERROR),
    // Only an end or a reboot is left.
    [ST_PANICKED] = ROW(none, none, none, none, ST_RUNNING, ST_STOPPING, ST_FAILED, none, none,
                        none, ST_STOPPING, none, none, none),
    [ST_SAVING] = ROW(none, none, none, none, none, none, ST_FAILED, ST_STOPPING, ST_PAUSED,
                      none, ST_STOPPING, none, none, none),
    [ST_STOPPING] = ROW(none, none, none, none, none, none, ST_STOPPED, none, none,
                        none, ST_STOPPING, none, none, none),
    [ST_STOPPED] = ROW(none, none, none, none, none, none, none, none, none,
                       none, none, none, none, none),
    [ST_FAILED] = ROW(none, none, none, none, none, none, none, none, none,
                      none, none, none, none, none),
    // clang-format on
};

static void every_input_in_every_state(void **state)
{
    (void)state;
    for (enum state s = 0; s < ST_COUNT; s++)
        for (enum input in = 0; in < IN_COUNT; in++) {
            enum state to = ST_COUNT;
            bool goes = state_next(s, in, &to);
            if (goes != (expected[s][in] != none) || (goes && (int)to != expected[s][in]) ||
                (!goes && to != ST_COUNT))
                fail_msg("%s in %s leads to %s", input_name(in), state_name(s),
                         goes ? state_name(to) : "nothing");
        }
}

static void orders_are_refused_with_the_reason(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(state_refuse(ST_SAVING, IN_PAUSE, &e), -1);
    assert_int_equal(e.code, ERR_BUSY);
    assert_string_equal(e.msg, "pause is not possible: the VM is saving");
    state_refuse(ST_STARTING, IN_SAVE, &e);
    assert_int_equal(e.code, ERR_BUSY);
    assert_string_equal(e.msg, "stop is not possible: the VM is starting");
    // Waiting would not help here.
    state_refuse(ST_PANICKED, IN_SAVE, &e);
    assert_int_equal(e.code, ERR_FAILED);
    assert_string_equal(e.msg, "stop is not possible: the VM is panicked ('halt' ends it)");
    state_refuse(ST_STOPPING, IN_ATTACH, &e);
    assert_string_equal(e.msg, "attach is not possible: the VM is stopping");
}

static void names_are_distinct(void **state)
{
    (void)state;
    for (enum state a = 0; a < ST_COUNT; a++)
        for (enum state b = 0; b < a; b++)
            assert_string_not_equal(state_name(a), state_name(b));
    for (enum input a = 0; a < IN_COUNT; a++)
        for (enum input b = 0; b < a; b++)
            assert_string_not_equal(input_name(a), input_name(b));
}

static void reach(enum state from, bool *seen)
{
    bool grew = true;
    seen[from] = true;
    while (grew) {
        grew = false;
        for (enum state s = 0; s < ST_COUNT; s++)
            for (enum input in = 0; seen[s] && in < IN_COUNT; in++) {
                enum state to;
                if (state_next(s, in, &to) && !seen[to])
                    grew = seen[to] = true;
            }
    }
}

static void every_state_is_reached_from_both_beginnings(void **state)
{
    (void)state;
    static const enum state beginnings[] = {ST_STARTING, ST_RESTORING};
    for (size_t i = 0; i < 2; i++) {
        bool seen[ST_COUNT] = {false};
        reach(beginnings[i], seen);
        for (enum state s = ST_RUNNING; s < ST_COUNT; s++)
            assert_true(seen[s]);
        assert_false(seen[beginnings[!i]]); // a start is not gone back to
    }
}

static void every_state_can_end(void **state)
{
    (void)state;
    for (enum state s = 0; s < ST_STOPPED; s++) {
        enum state to;
        bool seen[ST_COUNT] = {false};
        assert_true(state_next(s, IN_HALT, &to)); // anything can be ended by order
        assert_int_equal(to, ST_STOPPING);
        assert_true(state_next(s, IN_EXITED, &to)); // and an engine may die at any time
        assert_int_equal(to, s == ST_STOPPING ? ST_STOPPED : ST_FAILED);
        reach(s, seen);
        assert_true(seen[ST_STOPPED]);
    }
}

static void the_end_is_final(void **state)
{
    (void)state;
    static const enum state ends[] = {ST_STOPPED, ST_FAILED};
    for (size_t i = 0; i < 2; i++)
        for (enum input in = 0; in < IN_COUNT; in++) {
            enum state to;
            assert_false(state_next(ends[i], in, &to));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_input_in_every_state),
        cmocka_unit_test(orders_are_refused_with_the_reason),
        cmocka_unit_test(names_are_distinct),
        cmocka_unit_test(every_state_is_reached_from_both_beginnings),
        cmocka_unit_test(every_state_can_end),
        cmocka_unit_test(the_end_is_final),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
