// Locks by open file description.
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

// A directory that was deleted or replaced between open and lock has another file by this name.
static bool still_named(int dirfd, const char *name, int fd)
{
    struct stat by_fd;
    struct stat by_name;
    return fstat(fd, &by_fd) == 0 && fstatat(dirfd, name, &by_name, 0) == 0 && by_fd.st_nlink > 0 &&
           by_fd.st_ino == by_name.st_ino && by_fd.st_dev == by_name.st_dev;
}

int lock_take(int dirfd, const char *name, enum lock_kind kind, struct err *e)
{
    AUTO_CLOSE int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT)
        return err_set(e, ERR_NO_VM, "the VM was deleted meanwhile");
    if (fd < 0)
        return err_sys(e, "cannot open %s", name);
    struct flock want = {.l_type = kind == LOCK_EXCLUSIVE ? F_WRLCK : F_RDLCK,
                         .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &want) < 0) {
        if (errno == EAGAIN || errno == EACCES)
            return err_set(e, ERR_BUSY, "it is in use");
        return err_sys(e, "cannot lock %s", name);
    }
    if (!still_named(dirfd, name, fd))
        return err_set(e, ERR_NO_VM, "the VM was deleted meanwhile");
    return TAKE_FD(fd);
}

enum lock_kind lock_held(int dirfd, const char *name)
{
    AUTO_CLOSE int fd = openat(dirfd, name, O_RDWR | O_CLOEXEC);
    struct flock probe = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fd < 0 || fcntl(fd, F_OFD_GETLK, &probe) < 0 || probe.l_type == F_UNLCK)
        return LOCK_NONE;
    return probe.l_type == F_WRLCK ? LOCK_EXCLUSIVE : LOCK_SHARED;
}
