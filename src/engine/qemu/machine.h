// What QEMU calls a machine of each architecture.
#pragma once

#include "base/err.h"
#include "vm/config.h"

struct machine {
    const char *arch;
    const char *binary;  // looked up in PATH
    char *type;          // versioned: the device state of a saved VM belongs to it
    const char *options; // ",…" appended to the type
    char *cpu;           // a named model, never one that follows the host or QEMU's version
};

// The architecture's defaults with what the configuration overrides. ERR_FAILED: no such
// architecture. `type` and `cpu` are freed by machine_free().
int machine_choose(const struct vm_config *c, struct machine *out, struct err *e);
// The i-th architecture's name and program; false at the end of the table.
bool machine_known(int i, const char **arch, const char **binary);
void machine_free(struct machine *m);
