// Child processes: started or not, with these descriptors and no others, and gone in time.
#include "base/spawn.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/os.h"
#include "tempdir.h"

static void make_pipe(int ends[2])
{
    assert_int_equal(pipe(ends), 0);
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
}

// Runs `script` as *s says; what it wrote on standard output comes into out. Its wait status.
static int run(struct spawn s, const char *script, char *out, size_t n)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct err e;
    int ends[2];
    int status;
    size_t got = 0;
    make_pipe(ends);
    s.argv = (char *const *)argv;
    s.out = ends[1];
    pid_t pid = spawn(&s, &e);
    assert_true(pid > 0);
    close(ends[1]);
    for (ssize_t r; (r = read(ends[0], out + got, n - 1 - got)) > 0;)
        got += (size_t)r;
    out[got] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static const struct spawn plain = {.in = -1, .err = -1, .cwd_fd = -1};

static void a_child_has_its_streams(void **state)
{
    (void)state;
    char out[100];
    int ends[2];
    struct spawn s = plain;
    make_pipe(ends);
    assert_int_equal(write(ends[1], "input", 5), 5);
    close(ends[1]);
    s.in = ends[0];
    assert_int_equal(run(s, "cat; echo lost >&2; exit 3", out, sizeof out), 3 << 8);
    assert_string_equal(out, "input");
    close(ends[0]);
}

static void without_streams_it_has_null(void **state)
{
    (void)state;
    char out[100];
    assert_int_equal(run(plain, "cat && echo lost >&2 && echo end", out, sizeof out), 0);
    assert_string_equal(out, "end\n");
}

static void assert_not_started(struct spawn s, const char *program, enum err_code code)
{
    const char *const argv[] = {program, NULL};
    struct err e = {0};
    s.argv = (char *const *)argv;
    s.out = -1;
    assert_int_equal(spawn(&s, &e), -1);
    assert_int_equal(e.code, code);
    assert_non_null(strstr(e.msg, program));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); // nothing is left of it
    assert_int_equal(errno, ECHILD);
}

static void what_cannot_start_is_said(void **state)
{
    const struct tempdir *t = *state;
    struct err e;
    char path[100];
    snprintf(path, sizeof path, "%s/text", t->path);
    assert_int_equal(file_write_atomic(t->fd, "text", "text", 4, false, &e), 0);
    assert_not_started(plain, "tailmac-no-such-program", ERR_HOST_CANNOT);
    assert_not_started(plain, path, ERR_FAILED); // not executable
    struct spawn s = plain;
    s.cwd_fd = openat(t->fd, "text", O_RDONLY | O_CLOEXEC);
    assert_not_started(s, "true", ERR_FAILED); // no directory
    close(s.cwd_fd);
}

// A daemon may have been started without standard descriptors: ours then get those numbers.
static void it_is_said_without_standard_streams_too(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        const char *const argv[] = {"tailmac-no-such-program", NULL};
        struct spawn s = plain;
        struct err e;
        s.argv = (char *const *)argv;
        s.out = -1;
        for (int fd = 0; fd < 3; fd++)
            close(fd);
        _exit(spawn(&s, &e) == -1 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void it_works_where_it_is_told(void **state)
{
    const struct tempdir *t = *state;
    char out[200];
    char want[200];
    struct spawn s = plain;
    AUTO_FREE char *path = realpath(t->path, NULL);
    s.cwd_fd = t->fd;
    assert_int_equal(run(s, "pwd -P", out, sizeof out), 0);
    snprintf(want, sizeof want, "%s\n", path);
    assert_string_equal(out, want);
}

static void only_kept_descriptors_are_there(void **state)
{
    const struct tempdir *t = *state;
    char out[100];
    int file = openat(t->fd, "kept", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int kept = fcntl(file, F_DUPFD_CLOEXEC, 6);
    int other = fcntl(file, F_DUPFD_CLOEXEC, kept + 1);
    assert_true(other < 10); // what sh can name
    char script[100];
    snprintf(script, sizeof script, "echo text >&%d && echo yes; (: >&%d) || echo no", kept, other);
    struct spawn s = plain;
    s.keep = &kept;
    s.keep_count = 1;
    run(s, script, out, sizeof out);
    assert_string_equal(out, "yes\nno\n");
    assert_int_equal(fcntl(kept, F_GETFD), FD_CLOEXEC); // here it stays as it was
    struct err e;
    AUTO_FREE char *text = file_read(t->fd, "kept", 100, NULL, &e);
    assert_string_equal(text, "text\n");
    close(file);
    close(kept);
    close(other);
}

static void signals_are_as_new(void **state)
{
    (void)state;
    char out[100];
    sigset_t term;
    sigset_t before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &before);
    signal(SIGPIPE, SIG_IGN);
    int status = run(plain, "kill -TERM $$; echo alive", out, sizeof out);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    status = run(plain, "kill -PIPE $$; echo alive", out, sizeof out);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

// A `cat` between two pipes.
struct cat {
    pid_t pid;
    int in, out;
};

static struct cat start_cat(struct spawn s, bool orphan)
{
    const char *const argv[] = {"cat", NULL};
    struct err e;
    int in[2];
    int out[2];
    make_pipe(in);
    make_pipe(out);
    s.argv = (char *const *)argv;
    s.in = in[0];
    s.out = out[1];
    pid_t pid = orphan ? fork() : spawn(&s, &e);
    if (orphan && pid == 0) {
        spawn(&s, &e);
        raise(SIGKILL);
    }
    assert_true(pid > 0);
    close(in[0]);
    close(out[1]);
    return (struct cat){.pid = pid, .in = in[1], .out = out[0]};
}

static void end_cat(const struct cat *c)
{
    close(c->in);
    close(c->out);
    assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
}

static void a_new_session_is_its_own(void **state)
{
    (void)state;
    struct spawn s = plain;
    struct cat c = start_cat(s, false);
    assert_int_equal(getsid(c.pid), getsid(0));
    end_cat(&c);
    s.new_session = true;
    c = start_cat(s, false);
    assert_int_equal(getsid(c.pid), c.pid);
    assert_int_equal(getpgid(c.pid), c.pid);
    end_cat(&c);
}

static void a_child_may_die_with_its_parent(void **state)
{
    (void)state;
    char byte;
    if (strcmp(os_name, "linux") != 0)
        skip();
    struct spawn s = plain;
    struct cat c = start_cat(s, true);
    assert_int_equal(write(c.in, "x", 1), 1);
    assert_int_equal(read(c.out, &byte, 1), 1); // not asked to: it lives on
    end_cat(&c);
    s.die_with_parent = true;
    c = start_cat(s, true);
    assert_int_equal(read(c.out, &byte, 1), 0); // although its input is open
    end_cat(&c);
}

static void vectors_grow(void **state)
{
    (void)state;
    struct argv a = {0};
    for (int i = 0; i < 100; i++) {
        argv_add(&a, "%d, and \"%s\"", i, "that");
        assert_int_equal(a.n, i + 1);
        assert_null(a.v[a.n]);
    }
    assert_string_equal(a.v[99], "99, and \"that\"");
    argv_free(&a);
    assert_null(a.v);
    argv_free(&a);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdir_make, tempdir_remove)

enum { SAID = 8 };

static int run_to_end(const char *const *argv, char out[static SAID], struct err *e)
{
    return spawn_run(&(struct spawn){.argv = (char *const *)argv, .cwd_fd = -1}, out, SAID, e);
}

static void a_program_can_be_run_to_its_end(void **state)
{
    (void)state;
    char out[SAID];
    struct err e;
    const char *good[] = {"sh", "-c", "echo one; echo two >&2", NULL};
    const char *bad[] = {"sh", "-c", "echo no; echo why; exit 1", NULL};
    const char *silent[] = {"false", NULL};
    assert_int_equal(run_to_end(good, out, &e), 0);
    assert_string_equal(out, "one\ntwo");
    assert_int_equal(run_to_end(bad, out, &e), -1);
    assert_string_equal(e.msg, "why");
    assert_int_equal(run_to_end(silent, out, &e), -1);
    assert_string_equal(e.msg, "false failed");
}

int main(void)
{
    signal(SIGPIPE, SIG_DFL);
    setenv("PATH", "/usr/bin:/bin",
           1); // a directory that we may not enter says EACCES for any name
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_can_be_run_to_its_end),
        cmocka_unit_test(a_child_has_its_streams),
        cmocka_unit_test(without_streams_it_has_null),
        TEST(what_cannot_start_is_said),
        cmocka_unit_test(it_is_said_without_standard_streams_too),
        TEST(it_works_where_it_is_told),
        TEST(only_kept_descriptors_are_there),
        cmocka_unit_test(signals_are_as_new),
        cmocka_unit_test(a_new_session_is_its_own),
        cmocka_unit_test(a_child_may_die_with_its_parent),
        cmocka_unit_test(vectors_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
