// Directories that belong to who holds the lock in them. One whose lock nobody holds is left over,
// whoever made it.
#pragma once

#include <stdbool.h>

#include "base/err.h"

// Makes the directory `name` in `parent` and locks it. What was opened stays so after a failure,
// too, else the descriptors are -1.
int locked_dir_make(int parent, const char *name, int *fd, int *lock_fd, struct err *e);

// Takes the lock of one that is left over (*lock_fd, -1: it had none). False when it is somebody's:
// the lock is held, or it was made so lately that its maker may not have come to lock it.
bool locked_dir_abandoned(int fd, int *lock_fd);
