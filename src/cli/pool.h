// A VM's pool, asked by its keeper (Host pool).
#pragma once

#include <jansson.h>

#include "cli/launch.h"
#include "proto/client.h"
#include "vm/store.h"

// NULL with ERR_NOT_RUNNING where the VM has none.
struct client_conn *pool_connect(const struct store *s, const char *id, struct err *e);
// {"base","size","ready","taken","vsock","pid"}; NULL where the VM has none.
json_t *pool_status(const struct store *s, const char *id);

// What a fork is made of whose directory is made and locked.
struct pool_claim {
    const char *id;
    int lock_fd, log_fd;
    int tie_fd; // -1: none
    bool vsock, hold;
};
// Takes one; `l` is then as after launch_start(), but what reports is no child, and where the
// keeper ended meanwhile its pid is -1 and it may end without a word. -1: the pool has no such
// fork.
int pool_take(struct client_conn *pool, const struct pool_claim *claim, struct launch *l,
              struct err *e);
