// Log files: appended to, turned over at their limit, never in the way.
#include "base/logfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tempdir.h"

static void assert_holds(const struct tempdir *t, const char *name, const char *want)
{
    struct err e;
    AUTO_FREE char *text = file_read(t->fd, name, 1 << 20, NULL, &e);
    if (want)
        assert_string_equal(text, want);
    else
        assert_null(text);
}

static struct logfile *open_log(const struct tempdir *t, off_t limit)
{
    struct err e;
    struct logfile *l = logfile_open(t->fd, "log", limit, &e);
    assert_non_null(l);
    return l;
}

static void what_is_there_stays(void **state)
{
    const struct tempdir *t = *state;
    struct logfile *l = open_log(t, 10);
    logfile_write(l, "one ", 4);
    logfile_close(l);
    l = open_log(t, 10);
    logfile_write(l, "two", 3);
    logfile_close(l);
    assert_holds(t, "log", "one two");
    assert_holds(t, "log.1", NULL);
}

static void a_full_log_begins_anew(void **state)
{
    const struct tempdir *t = *state;
    struct logfile *l = open_log(t, 10);
    logfile_write(l, "12345", 5);
    logfile_write(l, "67890", 5);
    assert_holds(t, "log", "1234567890"); // full, not over
    logfile_write(l, "a", 1);
    assert_holds(t, "log", "a");
    assert_holds(t, "log.1", "1234567890");
    logfile_write(l, "bcdefghijk", 10);
    assert_holds(t, "log", "bcdefghijk");
    assert_holds(t, "log.1", "a"); // one older log is kept
    logfile_close(l);
    l = open_log(t, 10); // its size counts
    logfile_write(l, "z", 1);
    logfile_close(l);
    assert_holds(t, "log", "z");
}

static void a_write_is_never_split(void **state)
{
    const struct tempdir *t = *state;
    struct logfile *l = open_log(t, 10);
    logfile_write(l, "more than the limit", 19);
    logfile_write(l, "a\0b", 3);
    logfile_close(l);
    assert_holds(t, "log.1", "more than the limit");
    struct stat st;
    assert_int_equal(fstatat(t->fd, "log", &st, 0), 0);
    assert_int_equal(st.st_size, 3);
}

static void a_log_that_cannot_be_is_an_error(void **state)
{
    const struct tempdir *t = *state;
    struct err e = {0};
    assert_int_equal(mkdirat(t->fd, "log", 0700), 0);
    assert_null(logfile_open(t->fd, "log", 10, &e));
    assert_int_equal(e.code, ERR_FAILED);
    logfile_close(NULL);
}

static void a_lost_directory_loses_lines_only(void **state)
{
    const struct tempdir *t = *state;
    struct err e;
    assert_int_equal(mkdirat(t->fd, "d", 0700), 0);
    AUTO_CLOSE int dir = dir_open(t->fd, "d", &e);
    struct logfile *l = logfile_open(dir, "log", 4, &e);
    logfile_write(l, "1234", 4);
    assert_int_equal(tree_remove(t->fd, "d", &e), 0);
    logfile_write(l, "5678", 4);
    logfile_write(l, "9", 1);
    logfile_close(l);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_there_stays),
        TEST(a_full_log_begins_anew),
        TEST(a_write_is_never_split),
        TEST(a_log_that_cannot_be_is_an_error),
        TEST(a_lost_directory_loses_lines_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
