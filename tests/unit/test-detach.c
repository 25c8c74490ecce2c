// Going to the background: what who started it sees, and what becomes of the standard descriptors.
#include "base/detach.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tempdir.h"

// A program that detaches: `begun` runs in its background half.
struct program {
    pid_t pid;
    int out;  // what it prints
    int life; // what it says here, and the end of the last of its processes
};

static int life; // the other end, in the program

static struct program start(void (*begun)(int fd), const char *err)
{
    int out[2];
    int lives[2];
    assert_int_equal(pipe(out) | pipe(lives), 0);
    struct program p = {.pid = fork(), .out = out[0], .life = lives[0]};
    assert_true(p.pid >= 0);
    if (p.pid > 0) {
        close(out[1]);
        close(lives[1]);
        return p;
    }
    struct err e;
    life = lives[1];
    dup2(out[1], STDOUT_FILENO);
    dup2(err ? open(err, O_WRONLY | O_CREAT, 0600) : out[1], STDERR_FILENO);
    close(out[1]);
    int fd = detach_begin(&e);
    if (fd >= 0)
        begun(fd);
    _exit(99);
}

static int status_of(const struct program *p)
{
    int status;
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return status;
}

static void assert_reads(int fd, const char *want)
{
    char text[64] = "";
    size_t n = 0;
    for (ssize_t got; (got = read(fd, text + n, sizeof text - 1 - n)) > 0;)
        n += (size_t)got;
    close(fd);
    assert_string_equal(text, want);
}

// Waits for its end.
static void assert_printed(const struct program *p, const char *want)
{
    assert_reads(p->out, want);
    assert_reads(p->life, "");
}

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0)
        _exit(98);
}

static void begin_and_go_on(int fd)
{
    struct err e;
    say(STDOUT_FILENO, "begun ");
    say(STDERR_FILENO, "with a warning");
    if (detach_done(fd, &e) < 0)
        _exit(97);
    say(STDOUT_FILENO, "unseen");
    say(STDERR_FILENO, " unseen unless it is a file");
    _exit(getsid(0) == getpid() ? 0 : 96);
}

static void give_up(int fd)
{
    (void)fd;
    _exit(ERR_NOT_RUNNING);
}

static void die(int fd)
{
    (void)fd;
    raise(SIGKILL);
}

static void who_started_it_ends_when_it_has_begun(void **state)
{
    (void)state;
    struct program p = start(begin_and_go_on, NULL);
    assert_int_equal(status_of(&p), 0);
    assert_printed(&p, "begun with a warning");
}

static void a_failure_is_that_of_who_started_it(void **state)
{
    (void)state;
    struct program p = start(give_up, NULL);
    int status = status_of(&p);
    assert_int_equal(WEXITSTATUS(status), ERR_NOT_RUNNING);
    assert_printed(&p, "");
    p = start(die, NULL);
    status = status_of(&p);
    assert_int_equal(WEXITSTATUS(status), ERR_FAILED);
    assert_printed(&p, "");
}

static void a_log_is_kept(void **state)
{
    struct tempdir *t = *state;
    char path[80];
    struct err e;
    snprintf(path, sizeof path, "%s/log", t->path);
    struct program p = start(begin_and_go_on, path);
    assert_int_equal(status_of(&p), 0);
    assert_printed(&p, "begun ");
    AUTO_FREE char *log = file_read(t->fd, "log", 1000, NULL, &e);
    assert_non_null(log);
    assert_string_equal(log, "with a warning unseen unless it is a file");
}

static int told[2];

static void begin_when_told(int fd)
{
    struct err e;
    char byte;
    say(life, "here ");
    if (read(told[0], &byte, 1) == 1 && detach_done(fd, &e) < 0 && e.code == ERR_INTERRUPTED)
        say(life, "noticed");
    _exit(0);
}

static void nobody_waits_any_more(void **state)
{
    (void)state;
    char here[5];
    assert_int_equal(pipe(told), 0);
    struct program p = start(begin_when_told, NULL);
    assert_int_equal(read(p.life, here, sizeof here), sizeof here);
    kill(p.pid, SIGKILL);
    status_of(&p);
    say(told[1], "x");
    assert_reads(p.life, "noticed");
    assert_reads(p.out, "");
    close(told[0]);
    close(told[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_started_it_ends_when_it_has_begun),
        cmocka_unit_test(a_failure_is_that_of_who_started_it),
        cmocka_unit_test_setup_teardown(a_log_is_kept, tempdir_make, tempdir_remove),
        cmocka_unit_test(nobody_waits_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
