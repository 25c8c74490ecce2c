// The head of a qcow2 image (QEMU's docs/interop/qcow2.txt): read, and written for new images.
//
// A linked disk names its parent twice: as its backing file, for QEMU's own tools, and with what
// the parent's disk was like when it was linked, in a header extension that QEMU keeps.
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/parse.h"
#include "vm/facts.h"

enum {
    QCOW2_HEAD = 4096,    // bytes in which all that is looked at must lie
    QCOW2_HEAD_MIN = 104, // what an image has at least
};

struct disk_link {
    char parent[ID_MAX + 1]; // a VM of the same bundle; empty: the disk is linked to none
    const char *format;      // of the parent's disk; only written
    struct facts stamp;      // of the parent's disk
};

// Reads the virtual size and the link. ERR_FAILED for what a VM must not have: encryption, a data
// file, a backing file that is no link.
int qcow2_read(const uint8_t head[static QCOW2_HEAD], uint64_t *size, struct disk_link *link,
               struct err *e);

int qcow2_has_backing(struct err *e); // refuses a backing file

// Makes an empty image of the empty file: version 3, clusters of 64 KiB, sparse. `link` may be
// NULL.
int qcow2_write(int fd, uint64_t size, const struct disk_link *link, struct err *e);
