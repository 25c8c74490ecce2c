// The ends of a command. Its output is read only as far as Host has room for it, and stays in the
// command's pipe otherwise.
#include "agent/running.h"

#include "agent/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

// What is read of a terminal after its command has ended; a pipe tells how much it holds.
#define TERMINAL_REST 65536
#define TERMINAL_EOF "\004"

void running_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

bool running_has_ended(const struct running *st)
{
    return st->pid == 0 && st->out[OUT].fd < 0 && st->out[ERR].fd < 0;
}

void running_let_go(struct running *st)
{
    st->id = 0;
    st->told = false;
}

// --- input ---

bool input_wants(const struct running *st)
{
    return st->in.fd >= 0 && (st->in.held > 0 || st->in.end);
}

static void input_close(struct running *st)
{
    st->in.held = 0;
    running_close(&st->in.fd);
}

// What a terminal's user types to end the input.
static void input_end(struct running *st)
{
    if (st->tty && write(st->in.fd, TERMINAL_EOF, 1) < 0 && errno == EAGAIN)
        return;
    input_close(st);
}

void input_keep(struct input *in, const unsigned char *data, size_t n)
{
    while (n > 0) {
        size_t at = (in->head + in->held) % WIRE_WINDOW;
        size_t run = WIRE_WINDOW - at < n ? WIRE_WINDOW - at : n;

        memcpy(in->buf + at, data, run);
        in->held += run;
        data += run;
        n -= run;
    }
}

void input_write(struct running *st)
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

// --- output ---

bool output_wants(const struct output *o)
{
    return o->fd >= 0 && !o->readable && o->at < o->limit;
}

size_t output_read(const struct running *st, struct output *o, void *data, size_t n)
{
    bool ended = st->pid == 0;
    ssize_t got;

    if (ended && n > o->rest)
        n = o->rest;
    got = n > 0 ? read(o->fd, data, n) : 0;
    // A child of the command may hold it open; once the command has ended that is of no account.
    if (got == 0 || (got < 0 && errno != EINTR && (ended || errno != EAGAIN)))
        running_close(&o->fd);
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

void output_last(struct running *st)
{
    for (int k = 0; k < OUTPUTS; k++)
        output_rest(&st->out[k], st->tty);
}
