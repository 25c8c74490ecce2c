// Who removes a temporary tree when its maker is killed: a process that outlives it.
#pragma once

#include <sys/types.h>

#include "base/err.h"

struct janitor {
    pid_t pid;
    int fd; // a pipe's end that only the maker has
};

// Forks; from then on `name` in the directory `dir` will go, however this process ends. To be
// started before there are other threads, and before descriptors are opened whose end somebody
// waits for.
int janitor_start(struct janitor *j, int dir, const char *name, struct err *e);
// Has it removed, and waits for that.
void janitor_end(struct janitor *j);
