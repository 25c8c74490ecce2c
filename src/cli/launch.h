// Starting a Host, which says once, in one line, how that went.
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/spawn.h"
#include "vm/store.h"

struct launch {
    pid_t pid;
    int fd; // to be polled for reading
    char *line;
    size_t length;
};

// The beginning of Host's command line: program, verb, bundle and id.
int launch_argv(struct argv *argv, const struct store *s, const char *verb, const char *id,
                struct err *e);
// `argv` (taken) gets what Host needs to report. Host writes its log to `log`, and inherits `keep`.
int launch_start(struct launch *l, const struct store *s, struct argv *argv, int log,
                 const int *keep, int keep_count, struct err *e);
// Reads what is there. 1: the guest runs, *status is the caller's; 0: nothing yet; -1: it does not,
// and why.
int launch_read(struct launch *l, json_t **status, struct err *e);
void launch_close(struct launch *l); // Host goes on
