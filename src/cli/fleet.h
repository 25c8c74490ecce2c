// Forks that are made together: all of them run at the end, or none is left.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/parse.h"
#include "cli/fork-base.h"

enum { FLEET_MAX = 1000 };

struct fleet_plan {
    int64_t count;
    const char *prefix;     // ids are PREFIX-1, PREFIX-2, …: the next that no fork has
    const char *group;      // what they are released by
    const char *network;    // NULL: the base's
    const struct mac *macs; // one for each; NULL: as below
    const struct mac *base; // of PREFIX-1, the next one is PREFIX-2's; NULL: random ones
    bool vsock, hold;
    bool addresses;   // they are awaited, too
    int tie_fd;       // they end when it becomes readable; -1: they do not
    int64_t deadline; // clock_ms()
};

// *forks: the status of each, in their order, with "seconds" that it took and whether it was
// "pooled"; the caller's.
int fleet_start(const struct fork_base *base, const struct fleet_plan *plan, json_t **forks,
                struct err *e);
