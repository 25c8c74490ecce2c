// The disks below the one that a run writes: of a VM, of the VM that it is linked to, and so on.
// Each is held by a shared lock on its VM, so that nobody changes it.
#pragma once

#include <jansson.h>

#include "vm/facts.h"
#include "vm/store.h"

enum { LAYERS_MAX = 8 };

struct layer {
    char *id;           // the VM whose disk this is
    int lock_fd;        // its lock, shared
    int fd;             // its disk, opened for reading; -1: it has none
    const char *format; // "raw" or "qcow2"
    uint64_t size;      // what the guest sees, bytes
};

struct layers {
    struct layer of[LAYERS_MAX]; // the nearest first
    int count;
};

// Opens the disk of `id` and those below it. With `stamp` the disk must be what it tells; without
// it may be any, or missing. ERR_BUSY when one of the VMs runs or is being changed.
int layers_open(const struct store *s, const char *id, const struct facts *stamp,
                struct layers *out, struct err *e);
// The first layer from `from` on, over those below it, as QEMU's block layer takes it; null where
// there is none. By descriptors, which QEMU must inherit: no name in an image's header is followed.
json_t *layers_node(const struct layers *l, int from);

void layers_close(struct layers *l); // all zeros is fine
