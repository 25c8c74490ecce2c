// The relay: three flows of bytes, signals, and the answer, in one poll loop. Nothing in it waits
// but poll(): a reader of our output that is slow must not keep a signal or the timeout waiting.
#include "cli/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "cli/escape.h"
#include "cli/terminal.h"

// One direction. Where it is no file, poll() promises room for PIPE_BUF bytes, and no more.
struct flow {
    int from, to;
    size_t chunk;
    size_t at, held;
    bool ended;  // nothing more comes
    bool broken; // nobody takes what comes
    char bytes[65536];
};

enum { IN, OUT, ERR, FLOWS };

// The poll set.
enum { P_CONN, P_SIGNALS, P_FLOWS, P_COUNT = P_FLOWS + 2 * FLOWS };

struct loop {
    const struct relay *r;
    struct flow *flows;
    int signals; // a pipe: their numbers
    int got;     // signals that were passed on
    struct escape escape;
    bool left; // by keys
    bool answered;
    json_t *answer;
    struct err why; // where answered, and no answer
};

// --- signals ---

static int signal_pipe = -1; // for the handler

static void on_signal(int sig)
{
    int saved = errno;
    unsigned char number = (unsigned char)sig;
    if (write(signal_pipe, &number, 1) < 0) // full: there is enough to do
        errno = saved;
    errno = saved;
}

static const struct {
    int number;
    const char *name;
} passed_on[] = {{SIGINT, "INT"}, {SIGTERM, "TERM"}, {SIGHUP, "HUP"}, {SIGQUIT, "QUIT"}};

static int catch_signals(const struct relay *r, struct err *e)
{
    int ends[2];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (pipe_open(ends, e) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    signal_pipe = ends[1];
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++) {
        struct sigaction was;
        if (sigaction(passed_on[i].number, NULL, &was) == 0 && was.sa_handler != SIG_IGN) // nohup
            sigaction(passed_on[i].number, &action, NULL);
    }
    if (r->tty)
        sigaction(SIGWINCH, &action, NULL);
    return ends[0];
}

static void leave_signals(int signals)
{
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        signal(passed_on[i].number, SIG_DFL);
    signal(SIGWINCH, SIG_DFL);
    close(signals);
    close(signal_pipe);
    signal_pipe = -1;
}

static int pass_size(const struct loop *l, struct err *e)
{
    int rows;
    int cols;
    terminal_size(&rows, &cols);
    json_t *args = json_pack("{s:i, s:i}", "rows", rows, "cols", cols);
    return client_send(l->r->conn, "resize", args, NULL, 0, e) < 0 ? -1 : 0;
}

static int pass_signal(struct loop *l, int number, struct err *e)
{
    if (number == SIGWINCH)
        return pass_size(l, e);
    if (l->got++ > 0)
        return err_set(e, ERR_INTERRUPTED, "interrupted");
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++) {
        json_t *args = json_pack("{s:s}", "signal", passed_on[i].name);
        if (passed_on[i].number == number)
            return client_send(l->r->conn, "signal", args, NULL, 0, e) < 0 ? -1 : 0;
        json_decref(args);
    }
    return 0;
}

static int take_signals(struct loop *l, struct err *e)
{
    unsigned char number;
    while (read(l->signals, &number, 1) == 1)
        if (pass_signal(l, number, e) < 0)
            return -1;
    return 0;
}

// --- flows ---

static void flow_init(struct flow *f, int from, int to)
{
    struct stat st;
    *f = (struct flow){.from = from, .to = to, .ended = from < 0 || to < 0};
    bool file = fstat(to, &st) == 0 && (S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode));
    f->chunk = file ? sizeof f->bytes : PIPE_BUF;
}

static bool would_wait(void)
{
    return errno == EAGAIN || errno == EINTR;
}

// The first byte of the room is left to filter_keys().
static void flow_read(struct flow *f)
{
    ssize_t n = read(f->from, f->bytes + 1, sizeof f->bytes - 1);
    if (n < 0 && would_wait())
        return;
    f->at = 1;
    f->held = n > 0 && !f->broken ? (size_t)n : 0;
    f->ended = n <= 0;
}

static void flow_write(struct flow *f)
{
    size_t n = f->held < f->chunk ? f->held : f->chunk;
    ssize_t w = write(f->to, f->bytes + f->at, n);
    if (w < 0 && would_wait())
        return;
    f->broken = w < 0;
    f->held = w < 0 ? 0 : f->held - (size_t)w;
    f->at += w < 0 ? 0 : (size_t)w;
}

static void flow_poll(const struct flow *f, struct pollfd p[2])
{
    bool reads = !f->ended && f->held == 0;
    p[0] = (struct pollfd){.fd = reads ? f->from : -1, .events = POLLIN};
    p[1] = (struct pollfd){.fd = f->held > 0 ? f->to : -1, .events = POLLOUT};
}

static void flow_move(struct flow *f, const struct pollfd p[2])
{
    if (p[0].revents)
        flow_read(f);
    else if (p[1].revents)
        flow_write(f);
}

static void filter_keys(struct loop *l, struct flow *f)
{
    f->held = escape_filter(&l->escape, f->bytes + f->at, f->held, f->bytes, &l->left);
    f->at = 0;
}

static void move_input(struct loop *l, const struct pollfd p[2])
{
    struct flow *f = &l->flows[IN];
    bool before = f->ended && f->held == 0;
    bool came = f->held == 0;
    flow_move(f, p);
    if (came && f->held > 0 && l->r->keys)
        filter_keys(l, f);
    f->ended = f->ended || f->broken; // the command reads no more: neither do we
    if (!before && f->ended && f->held == 0)
        shutdown(f->to, SHUT_WR);
}

// Whoever read our output went away: so do we, for the command.
static void move_output(struct loop *l, int which, const struct pollfd p[2])
{
    struct flow *f = &l->flows[which];
    bool before = f->broken;
    flow_move(f, p);
    if (f->broken && !before)
        shutdown(f->from, SHUT_RD);
}

// --- the loop ---

static bool is_done(const struct loop *l)
{
    const struct flow *out = &l->flows[OUT];
    const struct flow *err = &l->flows[ERR];
    return l->answered && out->ended && out->held == 0 && err->ended && err->held == 0;
}

static void take_answer(struct loop *l, bool *gone)
{
    int got = client_answer(l->r->conn, l->r->request, &l->answer, gone, &l->why);
    l->answered = got != 0;
}

static int turn(struct loop *l, bool *gone, struct err *e)
{
    struct pollfd p[P_COUNT] = {
        [P_CONN] = {.fd = l->answered ? -1 : client_fd(l->r->conn), .events = POLLIN},
        [P_SIGNALS] = {.fd = l->signals, .events = POLLIN},
    };
    for (int i = 0; i < FLOWS; i++)
        flow_poll(&l->flows[i], p + P_FLOWS + (ptrdiff_t)2 * i);
    int64_t left = l->r->deadline < 0 ? -1 : l->r->deadline - clock_ms();
    if (l->r->deadline >= 0 && left <= 0)
        return err_set(e, ERR_TIMEOUT, "the command did not end in time, and is killed");
    int n = poll(p, P_COUNT, left > INT_MAX ? INT_MAX : (int)left);
    if (n < 0)
        return errno == EINTR ? 0 : err_sys(e, "cannot wait for the command");
    if (p[P_CONN].revents)
        take_answer(l, gone);
    if (p[P_SIGNALS].revents && take_signals(l, e) < 0)
        return -1;
    move_input(l, p + P_FLOWS);
    move_output(l, OUT, p + P_FLOWS + 2);
    move_output(l, ERR, p + P_FLOWS + 4);
    return l->left ? err_set(e, ERR_INTERRUPTED, "left by ~.") : 0;
}

static int run(struct loop *l, bool *gone, struct err *e)
{
    while (!is_done(l))
        if (turn(l, gone, e) < 0)
            return -1;
    if (!l->answer)
        *e = l->why;
    return l->answer ? 0 : -1;
}

static int make_nonblocking(int fd)
{
    return fd < 0 ? 0 : fcntl(fd, F_SETFL, O_NONBLOCK);
}

json_t *relay_run(const struct relay *r, bool *gone, struct err *e)
{
    struct loop l = {.r = r};
    l.signals = catch_signals(r, e);
    if (l.signals < 0)
        return NULL;
    make_nonblocking(r->io);
    make_nonblocking(r->err);
    l.flows = xcalloc(FLOWS, sizeof *l.flows);
    flow_init(&l.flows[IN], r->io < 0 ? -1 : STDIN_FILENO, r->io);
    flow_init(&l.flows[OUT], r->io, STDOUT_FILENO);
    flow_init(&l.flows[ERR], r->err, STDERR_FILENO);
    int result = run(&l, gone, e);
    leave_signals(l.signals);
    free(l.flows);
    if (result == 0)
        return l.answer;
    json_decref(l.answer);
    return NULL;
}
