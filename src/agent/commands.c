// Streams in the guest: a table of commands, each with a buffer for its input. Their output is
// read only as far as Host has room for it, and stays in the command's pipe otherwise.
#include "agent/commands.h"

#include "agent/command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

// What is read of a terminal after its command has ended; a pipe tells how much it holds.
#define TERMINAL_REST 65536
#define TERMINAL_EOF "\004"

enum { OUT, ERR, OUTPUTS };

struct output {
    int fd;        // -1: it has ended
    bool readable; // as poll said; not asked again before it is read
    uint64_t at;   // bytes sent
    uint64_t limit;
    size_t rest; // once the command has ended: what is still read at most
};

struct input {
    int fd;
    unsigned char *buf; // a ring of WIRE_WINDOW bytes
    size_t head, held;
    uint64_t at;    // bytes received
    uint64_t limit; // that Host knows of
    bool end;       // after what is held
};

struct running {
    uint32_t id; // 0: a job that nobody waits for
    pid_t pid;   // 0: it has ended
    int failure;
    int status;   // of waitpid(), once it has ended
    unsigned job; // number of a detached command; 0: it is none
    bool tty, announced, told;
    struct input in;
    struct output out[OUTPUTS];
    char why[COMMAND_WHY_MAX]; // the program did not run, or had to be ended
    int code;                  // then: what a shell would say; 0: nothing
};

void commands_init(struct commands *s)
{
    memset(s, 0, sizeof *s);
    if (getrandom(&s->salt, sizeof s->salt, GRND_NONBLOCK) < 0)
        s->salt = (unsigned)getpid();
    s->salt &= 0xffff;
}

// --- the table ---

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void running_free(struct commands *s, unsigned i)
{
    struct running *st = s->list[i];

    close_fd(&st->in.fd);
    close_fd(&st->failure);
    for (int k = 0; k < OUTPUTS; k++)
        close_fd(&st->out[k].fd);
    free(st->in.buf);
    free(st);
    s->list[i] = s->list[--s->count];
}

static void running_kill(struct commands *s, unsigned i)
{
    // Afterwards nobody is left to be told; the process is reaped like any other.
    if (s->list[i]->pid > 0)
        kill(-s->list[i]->pid, SIGKILL);
    running_free(s, i);
}

static void job_let_go(struct running *st)
{
    st->id = 0;
    st->told = false;
}

void commands_end(struct commands *s)
{
    s->refused = 0;
    for (unsigned i = s->count; i-- > 0;)
        if (s->list[i]->job)
            job_let_go(s->list[i]);
        else
            running_kill(s, i);
}

void commands_free(struct commands *s)
{
    while (s->count)
        running_kill(s, s->count - 1);
}

// COMMANDS_MAX: there is none.
static unsigned find(const struct commands *s, uint32_t id)
{
    for (unsigned i = 0; i < s->count; i++)
        if (id && s->list[i]->id == id)
            return i;
    return COMMANDS_MAX;
}

// A job that ended and was never asked for makes room.
static void make_room(struct commands *s)
{
    for (unsigned i = 0; s->count == COMMANDS_MAX && i < s->count; i++)
        if (s->list[i]->job && !s->list[i]->id && !s->list[i]->pid)
            running_free(s, i);
}

static struct running *running_new(struct commands *s, uint32_t id)
{
    struct running *st;

    make_room(s);
    st = s->count < COMMANDS_MAX ? calloc(1, sizeof *st) : NULL;
    if (!st) {
        s->refused = id;
        return NULL;
    }
    st->id = id;
    st->failure = st->in.fd = -1;
    for (int k = 0; k < OUTPUTS; k++)
        st->out[k] = (struct output){.fd = -1, .limit = WIRE_WINDOW};
    s->list[s->count++] = st;
    return st;
}

// --- input ---

static bool input_wants(const struct running *st)
{
    return st->in.fd >= 0 && (st->in.held > 0 || st->in.end);
}

static void input_close(struct running *st)
{
    st->in.held = 0;
    close_fd(&st->in.fd);
}

// What a terminal's user types to end the input.
static void input_end(struct running *st)
{
    if (st->tty && write(st->in.fd, TERMINAL_EOF, 1) < 0 && errno == EAGAIN)
        return;
    input_close(st);
}

static void input_write(struct running *st)
{
    struct input *in = &st->in;

    while (in->fd >= 0 && in->held > 0) {
        size_t run = WIRE_WINDOW - in->head < in->held ? WIRE_WINDOW - in->head : in->held;
        ssize_t n = write(in->fd, in->buf + in->head, run);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            input_close(st); // nobody reads it: what comes from now on is thrown away
            return;
        }
        in->head = (in->head + (size_t)n) % WIRE_WINDOW;
        in->held -= (size_t)n;
    }
    if (in->fd >= 0 && in->end)
        input_end(st);
}

// --- frames from Host ---

static bool get_flag(const struct wire_frame *f, const char *key)
{
    return wire_get_number(f, key) == 1;
}

static unsigned get_size(const struct wire_frame *f, const char *key)
{
    int64_t n = wire_get_number(f, key);

    return n > 0 && n < 65536 ? (unsigned)n : 0;
}

static void begin(struct running *st, const struct process *p)
{
    st->pid = p->pid;
    st->failure = p->failure;
    st->in.fd = p->in;
    st->out[OUT].fd = p->out;
    st->out[ERR].fd = p->err;
}

static void do_exec(struct commands *s, const struct wire_frame *f, uint32_t id)
{
    static char words[WIRE_PAYLOAD_MAX];
    struct command c = {.words = words, .tty = get_flag(f, "tty"), .detach = get_flag(f, "detach")};
    struct running *st = find(s, id) == COMMANDS_MAX ? running_new(s, id) : NULL;
    struct process p;
    long n = wire_get_data(f, words, sizeof words);

    if (!st)
        return;
    c.length = n < 0 ? 0 : (size_t)n;
    c.rows = get_size(f, "rows");
    c.cols = get_size(f, "cols");
    st->tty = c.tty;
    if (!c.detach && !(st->in.buf = malloc(WIRE_WINDOW))) {
        snprintf(st->why, sizeof st->why, "out of memory");
        return;
    }
    if (command_start(&c, &p, st->why) != 0)
        return;
    st->job = c.detach ? (unsigned)p.pid : 0;
    begin(st, &p);
}

static void job_name(const struct commands *s, const struct running *st, char out[static 32])
{
    snprintf(out, 32, "%u-%04x", st->job, s->salt);
}

static void do_wait(struct commands *s, const struct wire_frame *f, uint32_t id)
{
    char want[32], name[32];
    struct running *st;

    wire_get(f, "job", want, sizeof want);
    for (unsigned i = 0; i < s->count; i++) {
        job_name(s, s->list[i], name);
        if (!s->list[i]->job || strcmp(name, want) != 0)
            continue;
        if (!s->list[i]->id) {
            s->list[i]->id = id;
            return;
        }
        st = running_new(s, id);
        if (st)
            snprintf(st->why, sizeof st->why, "somebody waits for job %s already", want);
        return;
    }
    st = running_new(s, id);
    if (st)
        snprintf(st->why, sizeof st->why, "there is no job %.32s", want);
}

static void send_signal(const struct running *st, const struct wire_frame *f)
{
    char name[16];
    int sig;

    wire_get(f, "signal", name, sizeof name);
    sig = command_signal(name);
    if (sig > 0 && st->pid > 0)
        kill(-st->pid, sig);
}

static void set_size(const struct running *st, const struct wire_frame *f)
{
    struct winsize size = {.ws_row = (unsigned short)get_size(f, "rows"),
                           .ws_col = (unsigned short)get_size(f, "cols")};

    if (st->tty && st->out[OUT].fd >= 0 && size.ws_row && size.ws_col)
        ioctl(st->out[OUT].fd, TIOCSWINSZ, &size);
}

static void shut_output(struct running *st, const struct wire_frame *f)
{
    char part[8];

    wire_get(f, "part", part, sizeof part);
    close_fd(&st->out[strcmp(part, "err") ? OUT : ERR].fd);
}

static void take_credit(struct running *st, const struct wire_frame *f)
{
    static const char *const keys[OUTPUTS] = {"out", "err"};

    for (int k = 0; k < OUTPUTS; k++) {
        int64_t n = wire_get_number(f, keys[k]);

        if (n > 0 && (uint64_t)n > st->out[k].limit)
            st->out[k].limit = (uint64_t)n;
    }
}

// Host sends no more than it may, and nothing twice; should it do so, the command must not get it.
static void take_input(struct commands *s, unsigned i, const struct wire_frame *f)
{
    static unsigned char data[WIRE_DATA_MAX];
    struct running *st = s->list[i];
    struct input *in = &st->in;
    long n = wire_get_data(f, data, sizeof data);

    if (!in->buf)
        return;
    if (n < 0 || wire_get_number(f, "at") != (int64_t)in->at || in->end ||
        (uint64_t)n > in->limit - in->at) {
        snprintf(st->why, sizeof st->why, "its input arrived damaged");
        return;
    }
    in->at += (uint64_t)n;
    in->end = get_flag(f, "end");
    if (in->fd < 0)
        return; // the command closed it
    for (long k = 0; k < n; k++)
        in->buf[(in->head + in->held++) % WIRE_WINDOW] = data[k];
    input_write(st);
}

static void do_kill(struct commands *s, unsigned i)
{
    struct running *st = s->list[i];

    if (!st->job)
        running_kill(s, i);
    else if (st->told)
        running_free(s, i);
    else
        job_let_go(st);
}

bool commands_frame(struct commands *s, const struct wire_frame *f)
{
    int64_t id = wire_get_number(f, "stream");
    unsigned i;

    if (f->type < WIRE_EXEC || f->type > WIRE_WAIT)
        return false;
    if (id <= 0 || id > UINT32_MAX)
        return true;
    i = find(s, (uint32_t)id);
    if (f->type == WIRE_EXEC)
        do_exec(s, f, (uint32_t)id);
    else if (f->type == WIRE_WAIT && i == COMMANDS_MAX)
        do_wait(s, f, (uint32_t)id);
    else if (i == COMMANDS_MAX)
        return true; // it ended while this was on its way
    else if (f->type == WIRE_STDIN)
        take_input(s, i, f);
    else if (f->type == WIRE_CREDIT)
        take_credit(s->list[i], f);
    else if (f->type == WIRE_KILL)
        do_kill(s, i);
    else if (f->type == WIRE_SIGNAL)
        send_signal(s->list[i], f);
    else if (f->type == WIRE_RESIZE)
        set_size(s->list[i], f);
    else if (f->type == WIRE_SHUT)
        shut_output(s->list[i], f);
    return true;
}

// --- descriptors ---

static bool output_wants(const struct output *o)
{
    return o->fd >= 0 && !o->readable && o->at < o->limit;
}

unsigned commands_poll(const struct commands *s, struct pollfd p[static COMMANDS_POLL_MAX])
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->count; i++) {
        const struct running *st = s->list[i];

        if (input_wants(st))
            p[n++] = (struct pollfd){.fd = st->in.fd, .events = POLLOUT};
        for (int k = 0; k < OUTPUTS; k++)
            if (output_wants(&st->out[k]))
                p[n++] = (struct pollfd){.fd = st->out[k].fd, .events = POLLIN};
    }
    return n;
}

// In the order of commands_poll(), which nothing has changed since.
void commands_ready(struct commands *s, const struct pollfd *p, unsigned n)
{
    for (unsigned i = 0; i < s->count && n > 0; i++) {
        struct running *st = s->list[i];

        if (input_wants(st) && n > 0 && (n--, p++)->revents)
            input_write(st);
        for (int k = 0; k < OUTPUTS && n > 0; k++)
            if (output_wants(&st->out[k]))
                st->out[k].readable = (n--, p++)->revents != 0;
    }
}

static void output_rest(struct output *o, bool tty)
{
    int held = 0;

    if (o->fd < 0)
        return;
    if (ioctl(o->fd, FIONREAD, &held) != 0)
        held = 0;
    o->rest = tty ? TERMINAL_REST : (size_t)held;
    o->readable = true;
}

void commands_reap(struct commands *s)
{
    int status;

    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (unsigned i = 0; i < s->count; i++) {
            struct running *st = s->list[i];

            if (st->pid != pid)
                continue;
            st->pid = 0;
            st->status = status;
            command_failure(st->failure, &st->code, st->why);
            close_fd(&st->failure);
            for (int k = 0; k < OUTPUTS; k++)
                output_rest(&st->out[k], st->tty);
        }
}

// --- frames for Host ---

struct room {
    unsigned char *buf;
    size_t cap, used;
    uint32_t nonce;
};

static void frame_begin(struct room *r, struct wire_writer *w, enum wire_type type,
                        const struct running *st)
{
    wire_begin(w, r->buf + r->used, r->cap - r->used, type, r->nonce);
    wire_put(w, "stream", "%u", st->id);
}

// Up to n bytes into data, or 0: there is nothing now, or it has ended.
static size_t output_read(const struct running *st, struct output *o, void *data, size_t n)
{
    bool ended = st->pid == 0;
    ssize_t got;

    if (ended && n > o->rest)
        n = o->rest;
    got = n > 0 ? read(o->fd, data, n) : 0;
    // A child of the command may hold it open; once the command has ended that is of no account.
    if (got == 0 || (got < 0 && errno != EINTR && (ended || errno != EAGAIN)))
        close_fd(&o->fd);
    if (got <= 0) {
        o->readable = false;
        return 0;
    }
    if (ended)
        o->rest -= (size_t)got;
    else
        o->readable = (size_t)got == n;
    return (size_t)got;
}

static void send_output(struct running *st, int k, struct room *r)
{
    static unsigned char data[WIRE_DATA_MAX];
    struct output *o = &st->out[k];
    uint64_t credit = o->limit - o->at;
    struct wire_writer w;
    size_t n;

    if (o->fd < 0 || !o->readable || credit == 0)
        return;
    n = output_read(st, o, data, credit < sizeof data ? (size_t)credit : sizeof data);
    if (n == 0)
        return;
    frame_begin(r, &w, k == OUT ? WIRE_STDOUT : WIRE_STDERR, st);
    wire_put(&w, "at", "%llu", (unsigned long long)o->at);
    wire_put_data(&w, data, n);
    r->used += wire_end(&w);
    o->at += n;
}

// The first credit says that the command was started.
static void send_credit(struct running *st, struct room *r)
{
    uint64_t limit = st->in.at - st->in.held + WIRE_WINDOW;
    struct wire_writer w;

    if (!st->in.buf || limit - st->in.limit < WIRE_WINDOW / 2 || st->why[0])
        return;
    st->in.limit = limit;
    frame_begin(r, &w, WIRE_CREDIT, st);
    wire_put(&w, "in", "%llu", (unsigned long long)limit);
    r->used += wire_end(&w);
}

static void put_end(struct running *st, struct wire_writer *w)
{
    if (st->why[0]) {
        st->why[strcspn(st->why, "\n")] = '\0';
        if (st->code)
            wire_put(w, "code", "%d", st->code);
        wire_put(w, "message", "%s", st->why);
    } else if (WIFSIGNALED(st->status)) {
        wire_put(w, "signal", "%d", WTERMSIG(st->status));
    } else {
        wire_put(w, "code", "%d", WEXITSTATUS(st->status));
    }
}

static void send_announcement(const struct commands *s, struct running *st, struct room *r)
{
    struct wire_writer w;
    char name[32];

    job_name(s, st, name);
    frame_begin(r, &w, WIRE_EXIT, st);
    wire_put(&w, "job", "%s", name);
    r->used += wire_end(&w);
    st->announced = true;
    job_let_go(st);
}

static bool has_ended(const struct running *st)
{
    return st->pid == 0 && st->out[OUT].fd < 0 && st->out[ERR].fd < 0;
}

// EXIT, after which only a job stays, until Host has it.
static void send_end(struct commands *s, unsigned i, struct room *r)
{
    struct running *st = s->list[i];
    struct wire_writer w;

    if (st->told || (!st->why[0] && !has_ended(st)))
        return;
    frame_begin(r, &w, WIRE_EXIT, st);
    put_end(st, &w);
    r->used += wire_end(&w);
    st->told = true;
    if (!st->job)
        running_kill(s, i);
}

static void send_refused(struct commands *s, struct room *r)
{
    const struct running nobody = {.id = s->refused};
    struct wire_writer w;

    if (!s->refused)
        return;
    frame_begin(r, &w, WIRE_EXIT, &nobody);
    wire_put(&w, "message", "the guest has no room for another command");
    r->used += wire_end(&w);
    s->refused = 0;
}

// One frame of each kind at most. A stream that ends is replaced by another one in its place.
static void send_some(struct commands *s, unsigned i, struct room *r)
{
    struct running *st = s->list[i];

    if (st->id == 0)
        return;
    if (st->job && !st->announced) {
        send_announcement(s, st, r);
        return;
    }
    send_credit(st, r);
    send_output(st, OUT, r);
    if (r->cap - r->used >= WIRE_DATA_FRAME_MAX)
        send_output(st, ERR, r);
    if (r->cap - r->used >= WIRE_DATA_FRAME_MAX)
        send_end(s, i, r);
}

size_t commands_fill(struct commands *s, void *buf, size_t cap, uint32_t nonce)
{
    struct room r = {.buf = buf, .cap = cap, .nonce = nonce};
    unsigned idle = 0;

    if (cap >= WIRE_DATA_FRAME_MAX)
        send_refused(s, &r);
    while (idle < s->count && r.cap - r.used >= WIRE_DATA_FRAME_MAX) {
        size_t before = r.used;
        unsigned count = s->count;

        s->next = s->next < s->count ? s->next : 0;
        send_some(s, s->next, &r);
        if (s->count == count)
            s->next++;
        idle = r.used == before ? idle + 1 : 0;
    }
    return r.used;
}
