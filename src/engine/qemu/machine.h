// What QEMU calls a machine of each architecture.
#pragma once

#include "base/err.h"
#include "vm/config.h"

struct machine {
    const char *arch;
    const char *binary;  // looked up in PATH
    char *type;          // versioned: the device state of a saved VM belongs to it
    const char *options; // ",…" appended to the type
    int unplug_ms;       // how long its guests may take to let go of a device
    char *cpu;           // a named model, never one that follows the host or QEMU's version
    char *uuid;          // of the VM's MachineIdentifier; NULL: none
};

// The architecture's defaults with what the configuration overrides. The type of a VM's first run
// is kept in its HardwareModel, so that a newer tailmac does not change the machine under a guest.
// ERR_FAILED: no such architecture, or a damaged file. Freed by machine_free().
int machine_choose(const struct vm_config *c, int dir_fd, struct machine *out, struct err *e);
// The i-th architecture's name and program; false at the end of the table.
bool machine_known(int i, const char **arch, const char **binary);
void machine_free(struct machine *m);
