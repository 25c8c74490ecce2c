// Disk images: what format, how big, making them, and making them bigger.
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "vm/qcow2.h"

#define DISK_SIZE_MIN (1ULL << 20)
#define DISK_SIZE_MAX (16ULL << 40) // ext4's largest file

struct disk_info {
    const char *format; // "raw" or "qcow2"
    uint64_t size;      // what the guest sees, bytes
    struct disk_link link;
};

// Recognises the image in `fd` by its content. ERR_FAILED for what a VM must not have as its own
// disk: another format, an encrypted image, and a qcow2 that names another file (a backing or data
// file: it would not survive a copy, and an image from outside could name any file of this host).
int disk_probe(int fd, struct disk_info *out, struct err *e);
int disk_probe_at(int dirfd, const char *name, struct disk_info *out, struct err *e);

// The same for the disk that a VM has already: it may be linked to another VM's.
int disk_probe_own(int dirfd, struct disk_info *out, struct err *e);

// Makes a blank sparse raw disk; the name must be free.
int disk_make(int dirfd, const char *name, uint64_t size, struct err *e);

// Makes a VM_DISK that holds what differs from its parent's.
int disk_make_linked(int dirfd, uint64_t size, const struct disk_link *link, struct err *e);

// Makes an image that holds all of these layers' content: linked to nothing. Needs qemu-img.
struct layers;
int disk_make_whole(int dirfd, const char *name, const char *format, const struct layers *from,
                    struct err *e);

// An empty qcow2 image without a name, gone with the last who has it open. `dirfd` says on which
// file system.
int disk_make_unnamed(int dirfd, uint64_t size, struct err *e);

// Makes a disk bigger; ERR_USAGE when it is bigger than that already, ERR_HOST_CANNOT without
// qemu-img (qcow2 only).
int disk_grow(int dirfd, const char *name, uint64_t size, struct err *e);
