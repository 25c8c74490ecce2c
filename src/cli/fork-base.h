// What a VM must be to be forked, and whether this host has room.
#pragma once

#include <jansson.h>

#include "vm/store.h"

// The VM, locked shared, and the manifest of its state, which is whole and belongs to its files.
struct fork_base {
    struct vm vm;
    json_t *manifest;
};
int fork_base_open(const struct store *s, const char *id, struct fork_base *out, struct err *e);
void fork_base_close(struct fork_base *b);

// ERR_HOST_CANNOT with figures where so many forks would hardly fit beside the pool's. `whole`:
// each has all of the memory for itself.
int fork_base_admit(const struct fork_base *b, int64_t count, bool whole, struct err *e);
