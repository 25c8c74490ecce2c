// Streams in the guest: the table of commands that run, and of jobs that have ended.
#include "agent/commands.h"

#include "agent/commands-table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

void commands_init(struct commands *s)
{
    memset(s, 0, sizeof *s);
    if (getrandom(&s->salt, sizeof s->salt, GRND_NONBLOCK) < 0)
        s->salt = (unsigned)getpid();
    s->salt &= 0xffff;
}

void commands_drop(struct commands *s, unsigned i)
{
    struct running *st = s->list[i];

    running_close(&st->in.fd);
    running_close(&st->failure);
    for (int k = 0; k < OUTPUTS; k++)
        running_close(&st->out[k].fd);
    free(st->in.buf);
    free(st);
    s->list[i] = s->list[--s->count];
}

void commands_kill(struct commands *s, unsigned i)
{
    // Afterwards nobody is left to be told; the process is reaped like any other.
    if (s->list[i]->pid > 0)
        command_kill(s->list[i]->pid);
    commands_drop(s, i);
}

void commands_end(struct commands *s)
{
    s->refused = 0;
    for (unsigned i = s->count; i-- > 0;)
        if (s->list[i]->job)
            running_let_go(s->list[i]);
        else
            commands_kill(s, i);
}

void commands_free(struct commands *s)
{
    while (s->count)
        commands_kill(s, s->count - 1);
}

unsigned commands_find(const struct commands *s, uint32_t id)
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
            commands_drop(s, i);
}

struct running *commands_add(struct commands *s, uint32_t id)
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

void commands_job_name(const struct commands *s, const struct running *st, char out[static 32])
{
    snprintf(out, 32, "%u-%04x", st->job, s->salt);
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
            running_close(&st->failure);
            output_last(st);
        }
}
