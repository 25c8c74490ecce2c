// Starting a command in the guest: what it is, as whom, where, and on which descriptors.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define COMMAND_WHY_MAX 256

struct command {
    char *words; // the data of EXEC, see wire.h; kept by the caller while the command is started
    size_t length;
    bool tty;
    bool detach; // its descriptors are /dev/null
    unsigned rows, cols;
};

// A command that runs. The descriptors are ours, non-blocking, close-on-exec; -1: it has none.
struct process {
    pid_t pid; // of its process group and session, too
    int in, out, err;
    int failure; // a pipe: what went wrong before the program ran, see command_failure()
};

// Forks. 0, or -1 with the reason in why.
int command_start(const struct command *c, struct process *out, char why[static COMMAND_WHY_MAX]);

// Ends a process that is not reaped yet, with its session.
void command_kill(pid_t pid);

// Once the process has ended: whether it did so before the program ran, and why. *code is what a
// shell would say: 127 not found, 126 could not be run.
bool command_failure(int failure, int *code, char why[static COMMAND_WHY_MAX]);

// "INT" → 2; -1: no such signal is passed on.
int command_signal(const char *name);
