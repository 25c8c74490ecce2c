// Fuzzes what Host says to the guest's agent about streams, with a command and a job that are
// there. Inputs are frames with a NUL after each: the type in the first byte, then lines
// "key=value". What would change this computer is left out, and there are no processes: an input
// shall have the same outcome each time, and soon.
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/command.h"
#include "agent/running.h"
#include "agent/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NONCE 7
#define FAKES 16
#define FIRST_PID (1 << 30) // nobody has so high a one

static struct session session;

// --- commands: cat, and true where it is a job ---

static struct fake {
    bool runs, ended;
    int status;
    int in, out, err; // -1: closed, or it never had it
} fakes[FAKES];

static void end_fake(struct fake *f, int status)
{
    running_close(&f->in);
    running_close(&f->out);
    running_close(&f->err);
    f->ended = f->runs;
    f->runs = false;
    f->status = status;
}

// Its ends are at [mine] of the pipes.
static void open_pipe(int mine, int *fake, int *ours)
{
    int ends[2];

    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        abort();
    *fake = ends[mine];
    *ours = ends[!mine];
}

// As the linker's --wrap names them.
int __wrap_command_start(const struct command *c, struct process *out,
                         char why[static COMMAND_WHY_MAX]);
void __wrap_command_kill(pid_t pid);
pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);

int __wrap_command_start(const struct command *c, struct process *out,
                         char why[static COMMAND_WHY_MAX])
{
    int i = 0;

    while (i < FAKES && (fakes[i].runs || fakes[i].ended))
        i++;
    *out = (struct process){.pid = FIRST_PID + i, .in = -1, .out = -1, .err = -1, .failure = -1};
    if (i == FAKES) {
        snprintf(why, COMMAND_WHY_MAX, "cannot fork");
        return -1;
    }
    fakes[i] = (struct fake){.runs = true, .in = -1, .out = -1, .err = -1};
    if (c->detach)
        return 0;
    open_pipe(0, &fakes[i].in, &out->in);
    open_pipe(1, &fakes[i].out, &out->out);
    open_pipe(1, &fakes[i].err, &out->err);
    return 0;
}

void __wrap_command_kill(pid_t pid)
{
    if (pid < FIRST_PID || pid >= FIRST_PID + FAKES)
        abort();
    end_fake(&fakes[pid - FIRST_PID], SIGKILL);
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    if (pid != -1)
        return __real_waitpid(pid, status, options);
    for (int i = 0; i < FAKES; i++) {
        if (!fakes[i].ended)
            continue;
        fakes[i].ended = false;
        *status = fakes[i].status;
        return FIRST_PID + i;
    }
    return 0;
}

// What finds no room is lost.
static void run_fake(struct fake *f)
{
    char data[4096];
    ssize_t n = f->in < 0 ? 0 : read(f->in, data, sizeof data);

    if (n == 0)
        end_fake(f, 0);
    else if (n > 0 && write(f->out, data, (size_t)n) < 0 && write(f->err, "lost", 4) < 0)
        end_fake(f, SIGPIPE);
}

// --- the session ---

static void feed(unsigned char *frame, size_t n)
{
    static struct pollfd p[COMMANDS_POLL_MAX];

    wire_feed(&session.in, frame, n);
    session_work(&session);
    session_fill(&session);
    unsigned watched = commands_poll(&session.commands, p);
    if (poll(p, watched, 0) > 0)
        commands_ready(&session.commands, p, watched);
    for (int i = 0; i < FAKES; i++)
        if (fakes[i].runs)
            run_fake(&fakes[i]);
    commands_reap(&session.commands);
    session_sent(&session, session.out_len);
}

static void start(unsigned id, const char *words, size_t n, const char *detach)
{
    static unsigned char frame[WIRE_FRAME_MAX];
    struct wire_writer w;

    wire_begin(&w, frame, sizeof frame, WIRE_EXEC, NONCE);
    wire_put(&w, "stream", "%u", id);
    wire_put(&w, "detach", "%s", detach);
    wire_put_data(&w, words, n);
    feed(frame, wire_end(&w));
}

static bool is_harmless(unsigned type)
{
    return type != WIRE_SET_MAC && type != WIRE_SET_CLOCK && type != WIRE_SET && type != '\n' &&
           type != 0 && type != WIRE_HELLO;
}

static void say(const uint8_t *data, size_t size)
{
    static unsigned char frame[WIRE_FRAME_MAX];
    static char text[WIRE_PAYLOAD_MAX];
    struct wire_writer w;
    char *rest = text;

    if (size == 0 || size > sizeof text || !is_harmless(data[0]))
        return;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    wire_begin(&w, frame, sizeof frame, data[0], NONCE);
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *value = strchr(line, '=');

        if (!value || value == line)
            continue;
        *value = 0;
        wire_put(&w, line, "%s", value + 1);
    }
    feed(frame, wire_end(&w));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    signal(SIGPIPE, SIG_IGN); // as the agent does
    session_init(&session);
    session.nonce = NONCE;
    start(1, "acat", 5, "0");
    start(2, "atrue", 6, "1");
    while (size > 0) {
        const uint8_t *end = memchr(data, 0, size);
        size_t n = end ? (size_t)(end - data) : size;

        say(data, n);
        data += end ? n + 1 : n;
        size -= end ? n + 1 : n;
    }
    session_reset(&session);
    commands_free(&session.commands);
    commands_reap(&session.commands);
    return 0;
}
