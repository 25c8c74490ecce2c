// A bundle and a run-time directory for one test, gone with it.
#pragma once

#include "tempdir.h"
#include "vm/store.h"

struct tempstore {
    struct tempdir *dir;
    struct store store;
};

// As cmocka's setup and teardown: *state is the struct tempstore.
static inline int tempstore_make(void **state)
{
    struct err e;
    struct tempstore *t = calloc(1, sizeof *t);
    char home[128];
    if (!t || tempdir_make((void **)&t->dir) < 0)
        return -1;
    setenv("XDG_RUNTIME_DIR", t->dir->path, 1);
    snprintf(home, sizeof home, "%s/deep/bundle", t->dir->path);
    *state = t;
    return store_open(&t->store, home, &e);
}

static inline int tempstore_remove(void **state)
{
    struct tempstore *t = *state;
    store_close(&t->store);
    int result = tempdir_remove((void **)&t->dir);
    free(t);
    return result;
}
