// A directory with its lock, from the first moment that others see the lock.
#include "vm/locked-dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/lock.h"
#include "vm/store.h"

enum { ABANDONED = 60 }; // seconds after which a directory without a lock file is nobody's

// The lock file gets its name only when it is locked, so that a sweep never sees an unlocked one.
int locked_dir_make(int parent, const char *name, int *fd, int *lock_fd, struct err *e)
{
    *fd = *lock_fd = -1;
    if (mkdirat(parent, name, 0700) < 0)
        return err_sys(e, "cannot make a directory");
    *fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*fd < 0)
        return err_sys(e, "cannot open %s", name);
    *lock_fd = lock_take(*fd, ".lock", LOCK_EXCLUSIVE, e);
    if (*lock_fd < 0)
        return -1;
    return renameat(*fd, ".lock", *fd, VM_LOCK) < 0 ? err_sys(e, "cannot lock %s", name) : 0;
}

bool locked_dir_abandoned(int fd, int *lock_fd)
{
    struct err ignored;
    struct stat st;
    *lock_fd = -1;
    if (fstatat(fd, VM_LOCK, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        *lock_fd = lock_take(fd, VM_LOCK, LOCK_EXCLUSIVE, &ignored);
        return *lock_fd >= 0;
    }
    return fstat(fd, &st) == 0 && time(NULL) - st.st_mtime > ABANDONED;
}
