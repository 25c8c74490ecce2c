// Kernel locks on a VM: they die with their owner, so there is no stale lock to clean.
//
// Open-file-description locks (fcntl F_OFD_SETLK): a child that inherits the descriptor holds the
// lock too, and it ends with the last of them.
#pragma once

#include <stdbool.h>

#include "base/err.h"

enum lock_kind { LOCK_NONE, LOCK_SHARED, LOCK_EXCLUSIVE };

// Opens (and creates) the lock file `name` in `dirfd` and takes the lock without waiting. Returns
// the descriptor (close-on-exec) that holds it; -1 with ERR_BUSY when another holds it, and with
// ERR_NO_VM when the directory went away meanwhile.
int lock_take(int dirfd, const char *name, enum lock_kind kind, struct err *e);

// What others hold, without taking anything: a process that only looks disturbs nobody.
enum lock_kind lock_held(int dirfd, const char *name);
