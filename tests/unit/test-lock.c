// Locks between processes: who holds what, who may look, and how a lock ends.
#include "base/lock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tempdir.h"

static int take(const struct tempdir *t, enum lock_kind kind)
{
    struct err e = {0};
    int fd = lock_take(t->fd, "lock", kind, &e);
    if (fd < 0)
        assert_int_equal(e.code, ERR_BUSY);
    return fd;
}

static void exclusive_means_alone(void **state)
{
    const struct tempdir *t = *state;
    int fd = take(t, LOCK_EXCLUSIVE);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(take(t, LOCK_EXCLUSIVE), -1);
    assert_int_equal(take(t, LOCK_SHARED), -1);
    close(fd);
    fd = take(t, LOCK_EXCLUSIVE);
    assert_true(fd >= 0);
    close(fd);
}

static void shared_means_no_exclusive(void **state)
{
    const struct tempdir *t = *state;
    int one = take(t, LOCK_SHARED);
    int two = take(t, LOCK_SHARED);
    assert_true(one >= 0 && two >= 0);
    assert_int_equal(take(t, LOCK_EXCLUSIVE), -1);
    close(one);
    assert_int_equal(take(t, LOCK_EXCLUSIVE), -1);
    close(two);
    one = take(t, LOCK_EXCLUSIVE);
    assert_true(one >= 0);
    close(one);
}

static void looking_takes_nothing(void **state)
{
    const struct tempdir *t = *state;
    assert_int_equal(lock_held(t->fd, "lock"), LOCK_NONE);
    assert_int_equal(faccessat(t->fd, "lock", F_OK, 0), -1); // nor makes it a file
    int fd = take(t, LOCK_SHARED);
    assert_int_equal(lock_held(t->fd, "lock"), LOCK_SHARED);
    close(fd);
    assert_int_equal(lock_held(t->fd, "lock"), LOCK_NONE);
    fd = take(t, LOCK_EXCLUSIVE);
    assert_int_equal(lock_held(t->fd, "lock"), LOCK_EXCLUSIVE);
    assert_int_equal(lock_held(t->fd, "lock"), LOCK_EXCLUSIVE); // looking did not end it
    close(fd);
}

// A process that does as it is told by bytes: takes the lock, and ends.
struct other {
    pid_t pid;
    int orders, answers;
};

static void obey(const struct tempdir *t, enum lock_kind kind, int orders, int answers)
{
    struct err e;
    char byte;
    if (read(orders, &byte, 1) != 1)
        _exit(1);
    byte = lock_take(t->fd, "lock", kind, &e) >= 0 ? 'y' : 'n';
    if (write(answers, &byte, 1) != 1 || read(orders, &byte, 1) < 0)
        _exit(1);
    _exit(0);
}

static struct other other_process(const struct tempdir *t, enum lock_kind kind)
{
    int orders[2];
    int answers[2];
    assert_true(pipe(orders) == 0 && pipe(answers) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(orders[1]);
        close(answers[0]);
        obey(t, kind, orders[0], answers[1]);
    }
    close(orders[0]);
    close(answers[1]);
    return (struct other){.pid = pid, .orders = orders[1], .answers = answers[0]};
}

static bool takes(const struct other *o)
{
    char byte = 0;
    assert_int_equal(write(o->orders, "t", 1), 1);
    assert_int_equal(read(o->answers, &byte, 1), 1);
    return byte == 'y';
}

static void end(const struct other *o)
{
    assert_int_equal(write(o->orders, "e", 1), 1);
    close(o->orders);
    close(o->answers);
    assert_int_equal(waitpid(o->pid, NULL, 0), o->pid);
}

static void another_process_counts(void **state)
{
    const struct tempdir *t = *state;
    struct other o = other_process(t, LOCK_EXCLUSIVE);
    assert_true(takes(&o));
    assert_int_equal(take(t, LOCK_SHARED), -1);
    assert_int_equal(lock_held(t->fd, "lock"), LOCK_EXCLUSIVE);
    end(&o); // its lock ends with it
    int fd = take(t, LOCK_SHARED);
    assert_true(fd >= 0);
    struct other late = other_process(t, LOCK_EXCLUSIVE);
    struct other reader = other_process(t, LOCK_SHARED);
    assert_false(takes(&late));
    assert_true(takes(&reader));
    close(fd);
    assert_int_equal(lock_held(t->fd, "lock"), LOCK_SHARED);
    end(&late);
    end(&reader);
    assert_int_equal(lock_held(t->fd, "lock"), LOCK_NONE);
}

// As an engine holds the lock of a Host that was killed.
static void a_child_holds_what_it_inherited(void **state)
{
    const struct tempdir *t = *state;
    int fd = take(t, LOCK_EXCLUSIVE);
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(gate[1]);
        _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(gate[0]);
    close(fd);
    assert_int_equal(lock_held(t->fd, "lock"), LOCK_EXCLUSIVE);
    assert_int_equal(take(t, LOCK_EXCLUSIVE), -1);
    close(gate[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(lock_held(t->fd, "lock"), LOCK_NONE);
}

static void a_deleted_directory_has_no_lock(void **state)
{
    const struct tempdir *t = *state;
    struct err e = {0};
    assert_int_equal(mkdirat(t->fd, "vm", 0700), 0);
    AUTO_CLOSE int dir = dir_open(t->fd, "vm", &e);
    AUTO_CLOSE int held = lock_take(dir, "lock", LOCK_EXCLUSIVE, &e);
    assert_true(held >= 0);
    assert_int_equal(tree_remove(t->fd, "vm", &e), 0);
    assert_int_equal(mkdirat(t->fd, "vm", 0700), 0); // another one of that name
    assert_int_equal(lock_take(dir, "lock", LOCK_EXCLUSIVE, &e), -1);
    assert_int_equal(e.code, ERR_NO_VM);
    assert_int_equal(lock_held(dir, "lock"), LOCK_NONE);
}

static void what_is_no_file_cannot_be_locked(void **state)
{
    const struct tempdir *t = *state;
    struct err e = {0};
    assert_int_equal(mkdirat(t->fd, "lock", 0700), 0);
    assert_int_equal(lock_take(t->fd, "lock", LOCK_SHARED, &e), -1);
    assert_int_equal(e.code, ERR_FAILED);
    assert_int_equal(lock_held(t->fd, "lock"), LOCK_NONE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exclusive_means_alone),
        TEST(shared_means_no_exclusive),
        TEST(looking_takes_nothing),
        TEST(another_process_counts),
        TEST(a_child_holds_what_it_inherited),
        TEST(a_deleted_directory_has_no_lock),
        TEST(what_is_no_file_cannot_be_locked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
