// fork and exec; the child reports a failed exec through a pipe that closes on success.
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/os.h"

static void install_stdio(const struct spawn *s)
{
    const int from[3] = {s->in, s->out, s->err};
    int moved[3];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++) // first out of the way of 0..2
        moved[i] = fcntl(from[i] < 0 ? null : from[i], F_DUPFD_CLOEXEC, 3);
    for (int i = 0; i < 3; i++)
        dup2(moved[i], i);
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
}

__attribute__((noreturn)) static void child(const struct spawn *s, pid_t parent, int report)
{
    if (s->new_session)
        setsid();
    if (s->die_with_parent)
        os_die_with_parent(parent);
    if (s->small_pages)
        os_small_pages();
    os_close_on_exec(
        3); // what we were given ourselves: a lock, a pipe that somebody reads to its end
    for (int i = 0; i < s->keep_count; i++)
        fcntl(s->keep[i], F_SETFD, 0);
    report = fcntl(report, F_DUPFD_CLOEXEC, 3); // it may be one of 0..2
    install_stdio(s);
    reset_signals();
    if (s->cwd_fd < 0 || fchdir(s->cwd_fd) == 0)
        execvp(s->argv[0], s->argv);
    int why = errno;
    if (write(report, &why, sizeof why) < 0)
        _exit(126);
    _exit(127);
}

int pipe_open(int ends[2], struct err *e)
{
    if (pipe(ends) < 0)
        return err_sys(e, "cannot make a pipe");
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    return 0;
}

pid_t spawn(const struct spawn *s, struct err *e)
{
    int ends[2];
    if (pipe_open(ends, e) < 0)
        return err_wrap(e, "cannot start %s", s->argv[0]);
    AUTO_CLOSE int report = ends[0];
    AUTO_CLOSE int child_end = ends[1];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(e, "cannot start %s", s->argv[0]);
    if (pid == 0)
        child(s, parent, child_end);
    close(TAKE_FD(child_end));
    int why = 0;
    ssize_t n;
    do
        n = read(report, &why, sizeof why);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return pid;
    waitpid(pid, NULL, 0);
    errno = why;
    err_sys(e, "cannot start %s", s->argv[0]);
    if (why == ENOENT)
        e->code = ERR_HOST_CANNOT;
    return -1;
}

// Shortens the text to its last line.
static void keep_last_line(char *text)
{
    for (size_t n = strlen(text); n > 0 && text[n - 1] == '\n';)
        text[--n] = 0;
    char *line = strrchr(text, '\n');
    if (line)
        memmove(text, line + 1, strlen(line + 1) + 1);
}

int spawn_run(const struct spawn *s, char *out, size_t n, struct err *e)
{
    AUTO_CLOSE int said = os_memory_file(s->argv[0], 0);
    pid_t pid = spawn(&(struct spawn){.argv = s->argv,
                                      .in = -1,
                                      .out = said,
                                      .err = said,
                                      .keep = s->keep,
                                      .keep_count = s->keep_count,
                                      .cwd_fd = s->cwd_fd,
                                      .die_with_parent = true},
                      e);
    if (pid < 0)
        return -1;
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(e, "cannot wait for %s", s->argv[0]);
    ssize_t got = pread(said, out, n - 1, 0);
    out[got > 0 ? got : 0] = 0;
    if (status == 0)
        return 0;
    keep_last_line(out);
    return *out ? err_set(e, ERR_FAILED, "%s", out)
                : err_set(e, ERR_FAILED, "%s failed", s->argv[0]);
}

void argv_add(struct argv *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    a->v = xrealloc(a->v, (size_t)(a->n + 2) * sizeof *a->v);
    a->v[a->n++] = xvasprintf(fmt, ap);
    a->v[a->n] = NULL;
    va_end(ap);
}

void argv_free(struct argv *a)
{
    for (int i = 0; i < a->n; i++)
        free(a->v[i]);
    free(a->v);
    *a = (struct argv){0};
}
