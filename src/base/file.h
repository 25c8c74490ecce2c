// Files that a crash cannot tear, and copies that keep holes.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

// Opens a directory, close-on-exec. -1 with *e.
int dir_open(int dirfd, const char *path, struct err *e);

// mkdir -p with this mode for what is made.
int dir_make(const char *path, mode_t mode, struct err *e);

// Called for each name in a directory but "." and ".."; -1 with *e ends the walk.
typedef int dir_entry(void *arg, const char *name, struct err *e);
int dir_each(int dirfd, dir_entry *each, void *arg, struct err *e);

// Removes a file or a whole tree of ours, read-only directories too; nothing there is fine. Does
// not follow symbolic links.
int tree_remove(int dirfd, const char *name, struct err *e);

// Syncs a directory, so that names made, renamed or removed in it survive a power cut.
int dir_sync(int dirfd, struct err *e);

// Reads a whole file of at most `limit` bytes; the caller frees. The text ends with a NUL that is
// not counted in *n (n may be NULL).
char *file_read(int dirfd, const char *name, size_t limit, size_t *n, struct err *e);

// Replaces the file `name` (no '/' in it) in one step: written under a temporary name, renamed.
// `durable` syncs file and directory before and after. When it fails the old file is as it was.
int file_write_atomic(int dirfd, const char *name, const void *data, size_t n, bool durable,
                      struct err *e);

// Removes what file_write_atomic() left in a directory when it was killed, of the file `name`, or
// of all (NULL). The caller is the only one who writes it, or there.
void file_sweep_temporaries(int dirfd, const char *name);

// An empty file without a name, open for reading and writing, in the file system of `dirfd`: gone
// with the last who has it open, however that ends.
int file_unnamed(int dirfd, struct err *e);

// write(2) until all is written.
int fd_write_all(int fd, const void *data, size_t n, struct err *e);

// Told how far a long job is, in bytes; -1 with *e ends the job.
typedef int file_progress(void *arg, uint64_t done, uint64_t total, struct err *e);

// Copies the first `size` bytes of `src` to the empty file `dst`: by sharing blocks where the file
// system can, else only the data between holes, inside the kernel. *shared (may be NULL) says
// which. `progress` may be NULL; its numbers are bytes of data.
int file_copy(int src, int dst, bool *shared, file_progress *progress, void *arg, struct err *e);

// Copies what is not zero of the first `size` bytes of `src` into `dst`, which reads as zeros, and
// sets the size of `dst`. For guest RAM: holes are skipped, and pages that hold only zeros too.
// *digest is of the pages that are not zero and where they are: the same for both files, whatever
// holes they have.
// `durable` syncs `dst`, and lets the disk begin while the copying goes on. `dst` -1: the digest
// alone.
int file_copy_nonzero(int src, int dst, uint64_t size, bool durable, uint64_t *digest,
                      struct err *e);
