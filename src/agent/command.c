// Starting a command: a session and process group of its own, with pipes or a terminal.
#include "agent/command.h"

#include "agent/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 8192
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// What the words of EXEC say. The lists point into the words.
struct plan {
    char *argv[WORDS_MAX + 1];
    char *env[WORDS_MAX + 6]; // with ours
    size_t argc, envc;
    const char *cwd, *who;
    struct user user;
    char vars[5][USER_TEXT_MAX + 8];
};

// The ends that the child gets.
struct ends {
    int in, out, err, failure;
};

// What the child tells through the pipe `failure`: at most one, and only before the program runs.
struct failure {
    int error;
    enum { AT_TERMINAL, AT_USER, AT_DIRECTORY, AT_EXEC } at;
    char what[160];
};

static int refuse(char why[static COMMAND_WHY_MAX], const char *what)
{
    snprintf(why, COMMAND_WHY_MAX, "%s", what);
    return -1;
}

static int fail(char why[static COMMAND_WHY_MAX], const char *what)
{
    snprintf(why, COMMAND_WHY_MAX, "%s: %s", what, strerror(errno));
    return -1;
}

// --- what is to be done ---

static int take_word(struct plan *p, char letter, char *text)
{
    if (letter == 'a' && p->argc < WORDS_MAX)
        p->argv[p->argc++] = text;
    else if (letter == 'e' && p->envc < WORDS_MAX && strchr(text, '='))
        p->env[p->envc++] = text;
    else if (letter == 'c')
        p->cwd = text;
    else if (letter == 'u')
        p->who = text;
    else
        return -1;
    return 0;
}

static bool has_variable(const struct plan *p, const char *var)
{
    size_t n = strcspn(var, "=") + 1;

    for (size_t i = 0; i < p->envc; i++)
        if (!strncmp(p->env[i], var, n))
            return true;
    return false;
}

static void add_variable(struct plan *p, int slot, const char *name, const char *value)
{
    snprintf(p->vars[slot], sizeof p->vars[slot], "%s=%s", name, value);
    if (!has_variable(p, p->vars[slot]))
        p->env[p->envc++] = p->vars[slot];
}

static int make_plan(const struct command *c, struct plan *p, char why[static COMMAND_WHY_MAX])
{
    char *end = c->words + c->length;

    if (c->length == 0 || end[-1])
        return refuse(why, "no command was given");
    for (char *at = c->words; at < end; at += strlen(at) + 1)
        if (take_word(p, at[0], at[0] ? at + 1 : at) != 0)
            return refuse(why, "the request cannot be understood, or has too many words");
    if (!p->argc)
        return refuse(why, "no command was given");
    if (user_find(p->who ? p->who : "0", &p->user) != 0) {
        snprintf(why, COMMAND_WHY_MAX, "the guest has no user '%.80s'", p->who);
        return -1;
    }
    add_variable(p, 0, "PATH", PATH_DEFAULT);
    add_variable(p, 1, "HOME", p->user.home);
    add_variable(p, 2, "USER", p->user.name);
    add_variable(p, 3, "LOGNAME", p->user.name);
    add_variable(p, 4, "SHELL", p->user.shell);
    return 0;
}

// --- descriptors ---

static void close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void set_nonblocking(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int open_pipes(struct process *ours, struct ends *theirs)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};

    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
        close_all(in, 2);
        close_all(out, 2);
        close_all(err, 2);
        return -1;
    }
    ours->in = in[1];
    ours->out = out[0];
    ours->err = err[0];
    theirs->in = in[0];
    theirs->out = out[1];
    theirs->err = err[1];
    return 0;
}

// The slave is open here until the child has it, or reading would find the terminal hung up.
static int open_terminal(const struct command *c, struct process *ours, struct ends *theirs)
{
    struct winsize size = {.ws_row = (unsigned short)c->rows, .ws_col = (unsigned short)c->cols};
    const char *name;

    ours->out = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ours->out < 0 || grantpt(ours->out) != 0 || unlockpt(ours->out) != 0)
        return -1;
    name = ptsname(ours->out);
    if (!name || (theirs->in = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
        return -1;
    ours->in = fcntl(ours->out, F_DUPFD_CLOEXEC, 3);
    theirs->out = fcntl(theirs->in, F_DUPFD_CLOEXEC, 3);
    theirs->err = fcntl(theirs->in, F_DUPFD_CLOEXEC, 3);
    if (size.ws_row && size.ws_col)
        ioctl(ours->out, TIOCSWINSZ, &size);
    return ours->in < 0 || theirs->out < 0 || theirs->err < 0 ? -1 : 0;
}

static int open_null(struct ends *theirs)
{
    theirs->in = open("/dev/null", O_RDWR | O_CLOEXEC);
    theirs->out = open("/dev/null", O_RDWR | O_CLOEXEC);
    theirs->err = open("/dev/null", O_RDWR | O_CLOEXEC);
    return theirs->in < 0 || theirs->out < 0 || theirs->err < 0 ? -1 : 0;
}

static int open_ends(const struct command *c, struct process *ours, struct ends *theirs)
{
    int failure[2];

    if (c->detach ? open_null(theirs)
        : c->tty  ? open_terminal(c, ours, theirs)
                  : open_pipes(ours, theirs))
        return -1;
    if (pipe2(failure, O_CLOEXEC) != 0)
        return -1;
    ours->failure = failure[0];
    theirs->failure = failure[1];
    return 0;
}

static void close_ours(struct process *p)
{
    close_all((int[]){p->in, p->out, p->err, p->failure}, 4);
}

static void close_theirs(const struct ends *e)
{
    close_all((int[]){e->in, e->out, e->err, e->failure}, 4);
}

// --- in the child ---

static void give_up(const struct ends *e, const struct failure *f)
{
    // A pipe takes so little in one piece.
    if (write(e->failure, f, sizeof *f) < 0)
        _exit(125);
    _exit(126); // never seen: what was written counts
}

static void reset_signals(void)
{
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int become(const struct user *u)
{
    // An agent that is not root's can only start commands as itself.
    if (getuid() == u->uid && geteuid() != 0)
        return 0;
    return setgroups((size_t)u->group_count, u->groups) || setgid(u->gid) || setuid(u->uid);
}

static int enter_directory(const struct plan *p)
{
    if (p->cwd)
        return chdir(p->cwd);
    if (chdir(p->user.home) != 0)
        return chdir("/");
    return 0;
}

static void run_child(const struct command *c, struct plan *p, const struct ends *e)
{
    struct failure f = {0};

    reset_signals();
    setsid();
    f.at = AT_TERMINAL;
    if (dup2(e->in, 0) < 0 || dup2(e->out, 1) < 0 || dup2(e->err, 2) < 0 ||
        (c->tty && !c->detach && ioctl(0, TIOCSCTTY, 0) != 0))
        goto failed;
    f.at = AT_USER;
    if (become(&p->user) != 0)
        goto failed;
    if (!c->detach) // an agent that is killed cannot end it
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    f.at = AT_DIRECTORY;
    if (enter_directory(p) != 0)
        goto failed;
    f.at = AT_EXEC;
    environ = p->env;
    execvp(p->argv[0], p->argv);
failed:
    f.error = errno;
    snprintf(f.what, sizeof f.what, "%s", f.at == AT_DIRECTORY && p->cwd ? p->cwd : p->argv[0]);
    give_up(e, &f);
}

// --- in the agent ---

int command_start(const struct command *c, struct process *out, char why[static COMMAND_WHY_MAX])
{
    // Too large for the stack, and there is one thread.
    static struct plan plan;
    struct ends theirs = {-1, -1, -1, -1};

    memset(&plan, 0, sizeof plan);
    *out = (struct process){.pid = -1, .in = -1, .out = -1, .err = -1, .failure = -1};
    if (make_plan(c, &plan, why) != 0)
        return -1;
    if (open_ends(c, out, &theirs) != 0)
        fail(why, c->tty ? "cannot open a terminal" : "cannot open pipes");
    else if ((out->pid = fork()) < 0)
        fail(why, "cannot fork");
    else if (out->pid == 0)
        run_child(c, &plan, &theirs);
    close_theirs(&theirs);
    if (out->pid < 0) {
        close_ours(out);
        return -1;
    }
    set_nonblocking(out->in);
    set_nonblocking(out->out);
    set_nonblocking(out->err);
    set_nonblocking(out->failure);
    return 0;
}

bool command_failure(int failure, int *code, char why[static COMMAND_WHY_MAX])
{
    static const char *const tried[] = {
        [AT_TERMINAL] = "cannot set up its descriptors for",
        [AT_USER] = "cannot become the user for",
        [AT_DIRECTORY] = "cannot enter",
        [AT_EXEC] = "cannot run",
    };
    struct failure f;

    if (failure < 0 || read(failure, &f, sizeof f) != (ssize_t)sizeof f)
        return false;
    *code = f.at == AT_EXEC && f.error == ENOENT ? 127 : 126;
    snprintf(why, COMMAND_WHY_MAX, "%s %.150s: %s", tried[f.at], f.what, strerror(f.error));
    return true;
}

int command_signal(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {
        {"INT", SIGINT},   {"TERM", SIGTERM}, {"HUP", SIGHUP},   {"QUIT", SIGQUIT},
        {"KILL", SIGKILL}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"STOP", SIGSTOP},
        {"CONT", SIGCONT}, {"TSTP", SIGTSTP},
    };

    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (!strcmp(signals[i].name, name))
            return signals[i].number;
    return -1;
}
