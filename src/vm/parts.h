// The files of a VM's directory: put in from elsewhere, and copied to another VM.
#pragma once

#include "base/file.h"
#include "vm/store.h"

// Copies the file `source` into the directory under `name`, in one step.
int part_install(int dirfd, const char *name, const char *source, file_progress *progress,
                 void *arg, struct err *e);

// The same for a disk image, as VM_DISK; only what disk_probe() accepts.
int part_install_disk(int dirfd, const char *source, file_progress *progress, void *arg,
                      struct err *e);

// A new random UUID as the machine's identity.
int part_new_identity(int dirfd, struct err *e);

// Copies all of a VM but its configuration, lock, logs and what belongs to a running one, and what
// `but` names (ends with NULL; may be NULL). Sizes, holes, modes and times of the files stay: a
// saved state is bound to its disk by them.
int parts_copy(int from, int to, const char *const *but, file_progress *progress, void *arg,
               struct err *e);
