// A tree's stream in memory.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tree/tree.h"

struct bytes {
    unsigned char *data;
    size_t n, at;
    size_t most; // that one read gives; 0: all
};

static inline ssize_t bytes_read(void *arg, void *to, size_t n, struct err *e)
{
    struct bytes *b = arg;
    n = n < b->n - b->at ? n : b->n - b->at;
    n = b->most && n > b->most ? b->most : n;
    memcpy(to, b->data + b->at, n);
    b->at += n;
    return (ssize_t)n;
}

static inline int bytes_write(void *arg, const void *data, size_t n, struct err *e)
{
    struct bytes *b = arg;
    b->data = xrealloc(b->data, b->n + n);
    memcpy(b->data + b->n, data, n);
    b->n += n;
    return 0;
}

static inline struct tree_io bytes_io(struct bytes *b)
{
    return (struct tree_io){.read = bytes_read, .write = bytes_write, .arg = b};
}
