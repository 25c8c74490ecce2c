// The keeper of a pool: as many forks of a VM as it shall have, in reserve, each a process of its
// own; for each that somebody takes it makes another. It holds the VM, and the pool's directory.
#pragma once

#include "host/host.h"

struct pool_options {
    const char *home;
    const char *id;
    int64_t size;
    bool vsock;    // for forks with a vsock device
    int notify_fd; // one line: that the pool is full, or why it cannot be
};

// Keeps it until it is told to end. 0, or -1 with *e.
int pool_run(struct pool_options *options, struct err *e);
