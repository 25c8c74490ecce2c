// The pool of a VM's forks: its directory, which lasts as long as its keeper, who holds its lock.
// It is one of the hidden directories beside the forks', so that what a killed keeper left is swept
// with them.
#pragma once

#include <stdbool.h>

#include "vm/store.h"

// Makes the directory and locks it. ERR_EXISTS: the VM has a pool.
int pool_make(const struct store *s, const char *id, int *fd, int *lock_fd, struct err *e);
void pool_remove(const struct store *s, const char *id); // the caller holds its lock
bool pool_exists(const struct store *s, const char *id); // and its keeper lives
// Of its control socket; ERR_FAILED as runtime_path(). The caller frees.
int pool_path(const struct store *s, const char *id, char **out, struct err *e);
