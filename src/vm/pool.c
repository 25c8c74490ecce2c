// A pool's directory.
#include "vm/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "vm/fork.h"
#include "vm/locked-dir.h"

#define POOL ".pool-"

int pool_make(const struct store *s, const char *id, int *fd, int *lock_fd, struct err *e)
{
    *fd = *lock_fd = -1;
    AUTO_FREE char *name = xasprintf(POOL "%s", id);
    AUTO_CLOSE int forks = forks_make(s, e);
    if (forks < 0)
        return -1;
    if (faccessat(forks, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(e, ERR_EXISTS, "VM '%s' has a pool", id);
    return locked_dir_make(forks, name, fd, lock_fd, e);
}

void pool_remove(const struct store *s, const char *id)
{
    struct err ignored;
    AUTO_FREE char *name = xasprintf(POOL "%s", id);
    AUTO_CLOSE int forks = forks_open(s);
    if (forks >= 0)
        tree_remove(forks, name, &ignored);
}

bool pool_exists(const struct store *s, const char *id)
{
    AUTO_FREE char *name = xasprintf(POOL "%s", id);
    AUTO_CLOSE int forks = forks_open(s);
    AUTO_CLOSE int fd =
        forks < 0 ? -1 : openat(forks, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && lock_held(fd, VM_LOCK) != LOCK_NONE;
}

int pool_path(const struct store *s, const char *id, char **out, struct err *e)
{
    AUTO_FREE char *name = xasprintf("forks/" POOL "%s/", id);
    return runtime_path(s, name, "ctl", out, e);
}
