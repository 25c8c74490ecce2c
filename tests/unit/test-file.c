// Files: replaced in one step, removed without following links, copied with their holes.
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/interrupt.h"
#include "tempdir.h"

static bool there(const struct tempdir *t, const char *name)
{
    struct stat st;
    return fstatat(t->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void writing_replaces(void **state)
{
    struct tempdir *t = *state;
    struct err e;
    size_t n;
    assert_int_equal(file_write_atomic(t->fd, "f", "one", 3, true, &e), 0);
    assert_int_equal(file_write_atomic(t->fd, "f", "a\0b", 3, false, &e), 0);
    char *text = file_read(t->fd, "f", 3, &n, &e);
    assert_int_equal(n, 3);
    assert_memory_equal(text, "a\0b", 4);
    free(text);
    assert_int_equal(mkdirat(t->fd, "d", 0700), 0);
    assert_int_equal(file_write_atomic(t->fd, "d", "x", 1, false, &e), -1);
    int files = 0;
    DIR *dir = opendir(t->path);
    for (struct dirent *entry; (entry = readdir(dir));)
        files += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
    closedir(dir);
    assert_int_equal(files, 2); // no temporary file is left
}

static void reading_refuses(void **state)
{
    struct tempdir *t = *state;
    struct err e;
    assert_int_equal(file_write_atomic(t->fd, "f", "four", 4, false, &e), 0);
    assert_null(file_read(t->fd, "f", 3, NULL, &e));
    assert_null(file_read(t->fd, "none", 3, NULL, &e));
    assert_int_equal(mkfifoat(t->fd, "fifo", 0600), 0);
    assert_null(file_read(t->fd, "fifo", 3, NULL, &e)); // and does not wait for a writer
    assert_null(file_read(t->fd, ".", 3, NULL, &e));
}

static void removing_does_not_follow_links(void **state)
{
    struct tempdir *t = *state;
    struct err e;
    mkdirat(t->fd, "keep", 0700);
    mkdirat(t->fd, "keep/me", 0700);
    mkdirat(t->fd, "tree", 0700);
    mkdirat(t->fd, "tree/deep", 0700);
    mkdirat(t->fd, "tree/deep/er", 0700);
    assert_int_equal(symlinkat("../../keep", t->fd, "tree/deep/link"), 0);
    assert_int_equal(tree_remove(t->fd, "tree", &e), 0);
    assert_int_equal(tree_remove(t->fd, "tree", &e), 0);
    assert_false(there(t, "tree"));
    assert_true(there(t, "keep/me"));
}

static void directories_are_made_on_the_way(void **state)
{
    struct tempdir *t = *state;
    struct err e;
    char path[128];
    snprintf(path, sizeof path, "%s/a//b/c/", t->path);
    assert_int_equal(dir_make(path, 0700, &e), 0);
    assert_int_equal(dir_make(path, 0700, &e), 0);
    assert_true(there(t, "a/b/c"));
    assert_int_equal(file_write_atomic(t->fd, "f", "", 0, false, &e), 0);
    snprintf(path, sizeof path, "%s/f/x", t->path);
    assert_int_equal(dir_make(path, 0700, &e), -1);
    assert_int_equal(dir_make("", 0700, &e), -1);
}

// 64 MiB of hole with a word at its start, middle and end.
static int sparse_file(const struct tempdir *t, const char *name)
{
    int fd = openat(t->fd, name, O_RDWR | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, 64 << 20), 0);
    assert_int_equal(pwrite(fd, "start", 5, 0), 5);
    assert_int_equal(pwrite(fd, "middle", 6, (32 << 20) + 17), 6);
    assert_int_equal(pwrite(fd, "end", 3, (64 << 20) - 3), 3);
    return fd;
}

static void assert_same(int a, int b)
{
    static char x[1 << 20];
    static char y[1 << 20];
    for (off_t at = 0; at < 64 << 20; at += sizeof x) {
        assert_int_equal(pread(a, x, sizeof x, at), sizeof x);
        assert_int_equal(pread(b, y, sizeof y, at), sizeof y);
        assert_memory_equal(x, y, sizeof x);
    }
    assert_int_equal(pread(b, y, 1, 64 << 20), 0);
}

static void copies_keep_holes(void **state)
{
    struct tempdir *t = *state;
    struct err e;
    struct stat st;
    int from = sparse_file(t, "from");
    int to = openat(t->fd, "to", O_RDWR | O_CREAT, 0600);
    assert_int_equal(file_copy(from, to, NULL, NULL, NULL, &e), 0);
    assert_same(from, to);
    fstat(to, &st);
    assert_true(st.st_blocks * 512 < 1 << 20);
    close(from);
    close(to);
}

struct counter {
    int calls;
    int stop_at;
};

static int count(void *arg, uint64_t done, uint64_t total, struct err *e)
{
    struct counter *c = arg;
    assert_true(done <= total);
    return ++c->calls == c->stop_at ? err_set(e, ERR_INTERRUPTED, "enough") : 0;
}

static void copies_can_be_stopped(void **state)
{
    struct tempdir *t = *state;
    struct err e;
    struct counter all = {0};
    struct counter some = {.stop_at = 1};
    bool shared;
    int from = sparse_file(t, "from");
    int to = openat(t->fd, "to", O_RDWR | O_CREAT, 0600);
    assert_int_equal(file_copy(from, to, &shared, count, &all, &e), 0);
    assert_int_equal(ftruncate(to, 0), 0);
    if (!shared) { // sharing blocks is done before anybody could stop it
        assert_true(all.calls >= 2);
        assert_int_equal(file_copy(from, to, NULL, count, &some, &e), -1);
        assert_int_equal(e.code, ERR_INTERRUPTED);
    }
    close(from);
    close(to);
}

static void a_signal_becomes_an_error(void **state)
{
    (void)state;
    struct err e;
    interrupt_catch();
    assert_int_equal(interrupt_check(&e), 0);
    raise(SIGTERM);
    assert_int_equal(interrupt_check(&e), -1);
    assert_int_equal(e.code, ERR_INTERRUPTED);
}

static void errors_carry_their_story(void **state)
{
    (void)state;
    struct err e;
    errno = ENOSPC;
    assert_int_equal(err_sys(&e, "cannot write %s", "x"), -1);
    assert_int_equal(e.code, ERR_HOST_CANNOT);
    assert_int_equal(err_wrap(&e, "VM '%s'", "a"), -1);
    assert_string_equal(e.msg, "VM 'a': cannot write x: No space left on device");
    assert_int_equal(e.code, ERR_HOST_CANNOT);
    for (int i = 0; i < 300; i++)
        err_wrap(&e, "again"); // cut, never overrun
    assert_true(strlen(e.msg) < sizeof e.msg);
    assert_int_equal(err_code_parse(err_code_name(ERR_BUSY)), ERR_BUSY);
    assert_int_equal(err_code_parse("no such name"), ERR_FAILED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writing_replaces),
        TEST(reading_refuses),
        TEST(removing_does_not_follow_links),
        TEST(directories_are_made_on_the_way),
        TEST(copies_keep_holes),
        TEST(copies_can_be_stopped),
        cmocka_unit_test(errors_carry_their_story),
        cmocka_unit_test(a_signal_becomes_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
