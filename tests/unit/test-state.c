// The state machine against a table of its own, written from what people may expect.
#include "host/state.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// For each state where every input leads; `none` is nowhere.
enum {
    none = -1,
    RUNS = ST_RUNNING,
    PAUS = ST_PAUSED,
    DISK = ST_IO_ERROR,
    PANI = ST_PANICKED,
    SAVI = ST_SAVING,
    STOP = ST_STOPPING,
    ENDS = ST_STOPPED,
    FAIL = ST_FAILED,
};

// clang-format off
static const enum input columns[] = {
    // what the engine says
    IN_RUNNING, IN_PAUSED, IN_IO_ERROR, IN_PANICKED, IN_RESET, IN_SHUTDOWN, IN_EXITED, IN_SAVED,
    IN_NOT_SAVED,
    // orders
    IN_SAVE, IN_HALT, IN_PAUSE, IN_RESUME, IN_ATTACH,
};

static const struct {
    enum state from;
    int to[IN_COUNT];
} expected[] = {
    // Nothing runs yet: it may be called off, or fail. A guest that was saved with a full disk
    // comes back as that.
    {ST_STARTING,
     {RUNS, none, none, none, none, none, FAIL, none, none,
      none, STOP, none, none, none}},
    {ST_RESTORING,
     {RUNS, none, DISK, none, none, none, FAIL, none, none,
      none, STOP, none, none, none}},
    {ST_RUNNING,
     {none, PAUS, DISK, PANI, RUNS, STOP, FAIL, none, none,
      SAVI, STOP, PAUS, RUNS, RUNS}},
    // Standing still: everything but what only a running guest can do. What it did just before may
    // show only now.
    {ST_PAUSED,
     {RUNS, none, none, PANI, none, STOP, FAIL, none, none,
      SAVI, STOP, PAUS, PAUS, PAUS}},
    {ST_IO_ERROR,
     {RUNS, none, none, PANI, none, STOP, FAIL, none, none,
      SAVI, STOP, none, DISK, DISK}},
    // Only an end or a reboot is left.
    {ST_PANICKED,
     {none, none, none, none, RUNS, STOP, FAIL, none, none,
      none, STOP, none, none, none}},
    {ST_SAVING,
     {none, none, none, PANI, none, STOP, FAIL, STOP, PAUS,
      none, STOP, none, none, none}},
    {ST_STOPPING,
     {none, none, none, none, none, none, ENDS, none, none,
      none, STOP, none, none, none}},
    {ST_STOPPED,
     {none, none, none, none, none, none, none, none, none,
      none, none, none, none, none}},
    {ST_FAILED,
     {none, none, none, none, none, none, none, none, none,
      none, none, none, none, none}},
};
// clang-format on
static_assert(sizeof columns / sizeof *columns == IN_COUNT, "a column for each input");
static_assert(sizeof expected / sizeof *expected == ST_COUNT, "a row for each state");

static void every_input_in_every_state(void **state)
{
    (void)state;
    for (int row = 0; row < ST_COUNT; row++)
        for (int column = 0; column < IN_COUNT; column++) {
            enum state s = expected[row].from;
            enum input in = columns[column];
            int want = expected[row].to[column];
            enum state to = ST_COUNT;
            bool goes = state_next(s, in, &to);
            if ((int)to != (want < 0 ? ST_COUNT : want) || goes != (want >= 0))
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
