// Frames of streams that come from Host.
#include "agent/commands-table.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

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
    struct running *st = commands_find(s, id) == COMMANDS_MAX ? commands_add(s, id) : NULL;
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

static void do_wait(struct commands *s, const struct wire_frame *f, uint32_t id)
{
    char want[32], name[32];
    struct running *st;

    wire_get(f, "job", want, sizeof want);
    for (unsigned i = 0; i < s->count; i++) {
        commands_job_name(s, s->list[i], name);
        if (!s->list[i]->job || strcmp(name, want) != 0)
            continue;
        if (!s->list[i]->id) {
            s->list[i]->id = id;
            return;
        }
        st = commands_add(s, id);
        if (st)
            snprintf(st->why, sizeof st->why, "somebody waits for job %s already", want);
        return;
    }
    st = commands_add(s, id);
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
    running_close(&st->out[strcmp(part, "err") ? OUT : ERR].fd);
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
    input_keep(in, data, (size_t)n);
    input_write(st);
}

static void do_kill(struct commands *s, unsigned i)
{
    struct running *st = s->list[i];

    if (!st->job)
        commands_kill(s, i);
    else if (st->told)
        commands_drop(s, i);
    else
        running_let_go(st);
}

bool commands_frame(struct commands *s, const struct wire_frame *f)
{
    int64_t id = wire_get_number(f, "stream");
    unsigned i;

    if (f->type < WIRE_EXEC || f->type > WIRE_WAIT)
        return false;
    if (id <= 0 || id > UINT32_MAX)
        return true;
    i = commands_find(s, (uint32_t)id);
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
