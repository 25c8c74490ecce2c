// Starting a child process with exactly the descriptors it is to have.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct spawn {
    char *const *argv; // argv[0] is looked up in PATH
    int in, out, err;  // become 0, 1, 2; -1 is /dev/null
    const int *keep;   // inherited under their own numbers; nothing else is
    int keep_count;
    int cwd_fd;           // directory to work in; -1: the caller's
    bool die_with_parent; // SIGKILL when this process ends, where the kernel can (os.h)
    bool small_pages;     // os_small_pages()
    bool new_session;     // detached from terminal and process group
};

// Returns the pid; -1 with ERR_HOST_CANNOT where the program does not exist, and in *e why exec
// failed otherwise: a child that could not be started is never reported as started.
pid_t spawn(const struct spawn *s, struct err *e);

// Runs a program to its end, without input: of *s it takes argv, keep and cwd_fd. The beginning of
// what it says, on both its outputs, is `out`, a text. -1 with *e where it does not end with 0: its
// last line is why.
int spawn_run(const struct spawn *s, char *out, size_t n, struct err *e);

// A pipe, reading end first, both ends close-on-exec: a child gets one by being told to keep it.
int pipe_open(int ends[2], struct err *e);

// An argument vector that grows; every string is its own copy. NULL-terminated at all times.
struct argv {
    char **v;
    int n;
};
void argv_add(struct argv *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void argv_free(struct argv *a);
