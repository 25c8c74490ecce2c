// A private directory for one test, gone with it.
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

struct tempdir {
    char path[64];
    int fd;
};

// As cmocka's setup and teardown: *state is the struct tempdir.
static inline int tempdir_make(void **state)
{
    struct err e;
    struct tempdir *t = calloc(1, sizeof *t);
    if (!t)
        return -1;
    snprintf(t->path, sizeof t->path, "/tmp/tailmac-test-XXXXXX");
    if (!mkdtemp(t->path))
        return -1;
    t->fd = dir_open(AT_FDCWD, t->path, &e);
    *state = t;
    return t->fd < 0 ? -1 : 0;
}

static inline int tempdir_remove(void **state)
{
    struct err e;
    struct tempdir *t = *state;
    close(t->fd);
    int result = tree_remove(AT_FDCWD, t->path, &e);
    free(t);
    return result;
}
