// How a VM's last run ended, as the next one reads it.
#include "vm/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tempdir.h"
#include "vm/store.h"

// Checks one key; want NULL: it is not there.
static void assert_says(const struct tempdir *t, bool locked, const char *key, const char *want)
{
    json_t *record = record_read(t->fd, locked);
    const char *got = json_string_value(json_object_get(record, key));
    if (want && got)
        assert_string_equal(got, want);
    else
        assert_true(!want && !got);
    json_decref(record);
}

static void without_a_file_it_never_ran(void **state)
{
    const struct tempdir *t = *state;
    assert_says(t, false, "ended", "never-run");
    assert_says(t, true, "ended", "never-run");
}

static void running_without_a_lock_is_killed(void **state)
{
    const struct tempdir *t = *state;
    struct err e;
    assert_int_equal(record_begin(t->fd, "cold", "a note", &e), 0);
    assert_says(t, true, "ended", "running");
    assert_says(t, true, "reason", NULL);
    assert_says(t, true, "boot", "cold");
    assert_says(t, true, "note", "a note");
    assert_says(t, false, "ended", "killed");
    json_t *record = record_read(t->fd, false);
    assert_int_equal(json_string_length(json_object_get(record, "started")), 20);
    assert_true(json_string_length(json_object_get(record, "reason")) > 0);
    json_decref(record);
    assert_says(t, true, "ended", "running"); // looking changes nothing
}

static void every_end_is_told(void **state)
{
    const struct tempdir *t = *state;
    static const char *const ends[] = {ENDED_SAVED, ENDED_SHUTDOWN, ENDED_HALTED, ENDED_FAILED};
    struct err e;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *reason = i % 2 ? "because" : NULL;
        assert_int_equal(record_begin(t->fd, "resumed", NULL, &e), 0);
        assert_says(t, true, "note", NULL);
        assert_says(t, true, "at", NULL);
        assert_int_equal(record_end(t->fd, ends[i], reason, &e), 0);
        assert_says(t, false, "ended", ends[i]);
        assert_says(t, false, "reason", reason);
        assert_says(t, false, "boot", "resumed");
        json_t *record = record_read(t->fd, false);
        assert_int_equal(json_string_length(json_object_get(record, "at")), 20);
        assert_int_equal(json_string_length(json_object_get(record, "started")), 20);
        json_decref(record);
    }
    assert_int_equal(record_end(t->fd, ENDED_FAILED, "because", &e), 0);
    assert_int_equal(record_end(t->fd, ENDED_HALTED, NULL, &e), 0);
    assert_says(t, false, "reason", NULL); // the last word counts
}

static void a_damaged_file_tells_nothing(void **state)
{
    const struct tempdir *t = *state;
    static const char *const bad[] = {
        "", "{", "[]", "null", "{}", "{\"ended\":7}", "\xff", "{\"ended\":null}"};
    struct err e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(file_write_atomic(t->fd, VM_RUN, bad[i], strlen(bad[i]), false, &e), 0);
        assert_says(t, false, "ended", "never-run");
    }
    assert_int_equal(record_end(t->fd, ENDED_HALTED, NULL, &e), 0);
    assert_says(t, false, "ended", "halted");
    static char huge[(64 << 10) + 1];
    assert_int_equal(file_write_atomic(t->fd, VM_RUN, huge, sizeof huge, false, &e), 0);
    assert_says(t, false, "ended", "never-run");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_file_it_never_ran),
        TEST(running_without_a_lock_is_killed),
        TEST(every_end_is_told),
        TEST(a_damaged_file_tells_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
