// Directories and whole files: made, read, replaced and removed.
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/os.h"

int dir_open(int dirfd, const char *path, struct err *e)
{
    int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_sys(e, "cannot open directory %s", path) : fd;
}

int dir_make(const char *path, mode_t mode, struct err *e)
{
    AUTO_FREE char *copy = xstrdup(path);
    for (char *p = copy + (*copy == '/');; p++) {
        char was = *p;
        if (was != '/' && was != 0)
            continue;
        *p = 0;
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return err_sys(e, "cannot make directory %s", copy);
        *p = was;
        if (was == 0)
            return 0;
    }
}

int dir_each(int dirfd, dir_entry *each, void *arg, struct err *e)
{
    AUTO_CLOSE int own = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
    AUTO_CLOSEDIR DIR *dir = own < 0 ? NULL : fdopendir(own);
    if (!dir)
        return err_sys(e, "cannot list a directory");
    own = -1;       // closedir() closes it
    rewinddir(dir); // where it stands is the same for all duplicates
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry)
            return errno ? err_sys(e, "cannot list a directory") : 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (each(arg, entry->d_name, e) < 0)
            return -1;
    }
}

static int remove_entry(void *arg, const char *name, struct err *e)
{
    const int *dir = arg;
    return tree_remove(*dir, name, e);
}

// A directory of a tree that we made, whatever its mode keeps even its owner from.
static int open_to_clear(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(dirfd, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
        fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && geteuid() != 0)
        fchmod(fd, 0700);
    return fd;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the tree, which we made.
int tree_remove(int dirfd, const char *name, struct err *e)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM) // macOS says EPERM for a directory
        return err_sys(e, "cannot remove %s", name);
    AUTO_CLOSE int fd = open_to_clear(dirfd, name);
    if (fd < 0)
        return err_sys(e, "cannot remove %s", name);
    if (dir_each(fd, remove_entry, &fd, e) < 0)
        return err_wrap(e, "%s", name);
    if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_sys(e, "cannot remove directory %s", name);
    return 0;
}

int dir_sync(int dirfd, struct err *e)
{
    return fsync(dirfd) < 0 ? err_sys(e, "cannot sync a directory") : 0;
}

char *file_read(int dirfd, const char *name, size_t limit, size_t *n, struct err *e)
{
    AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // or a fifo waits
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        err_sys(e, "cannot read %s", name);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > limit) {
        err_set(e, ERR_FAILED, "cannot read %s: not a file of at most %zu bytes", name, limit);
        return NULL;
    }
    AUTO_FREE char *text = xcalloc(1, (size_t)st.st_size + 1);
    size_t got = 0;
    while (got < (size_t)st.st_size) {
        ssize_t r = read(fd, text + got, (size_t)st.st_size - got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            err_sys(e, "cannot read %s", name);
            return NULL;
        }
        if (r == 0)
            break;
        got += (size_t)r;
    }
    text[got] = 0;
    if (n)
        *n = got;
    return TAKE_PTR(text);
}

int file_unnamed(int dirfd, struct err *e)
{
    AUTO_CLOSE int fd = os_unnamed_file(dirfd);
    if (fd >= 0 || errno != EOPNOTSUPP)
        return fd < 0 ? err_sys(e, "cannot make a file") : TAKE_FD(fd);
    char name[32];
    uint32_t random;
    os_random(&random, sizeof random);
    snprintf(name, sizeof name, ".unnamed.%08x", random);
    fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || unlinkat(dirfd, name, 0) < 0)
        return err_sys(e, "cannot make a file");
    return TAKE_FD(fd);
}

int fd_write_all(int fd, const void *data, size_t n, struct err *e)
{
    const char *p = data;
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno != EINTR)
            return err_sys(e, "cannot write");
        if (w > 0) {
            p += w;
            n -= (size_t)w;
        }
    }
    return 0;
}

static int write_and_rename(int dirfd, const char *temp, const char *name, const void *data,
                            size_t n, bool durable, struct err *e)
{
    AUTO_CLOSE int fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(e, "cannot create");
    if (fd_write_all(fd, data, n, e) < 0)
        return -1;
    if (durable && fsync(fd) < 0)
        return err_sys(e, "cannot sync");
    if (renameat(dirfd, temp, dirfd, name) < 0)
        return err_sys(e, "cannot rename");
    return durable ? dir_sync(dirfd, e) : 0;
}

int file_write_atomic(int dirfd, const char *name, const void *data, size_t n, bool durable,
                      struct err *e)
{
    uint32_t random;
    os_random(&random, sizeof random);
    AUTO_FREE char *temp = xasprintf(".%s.%08x", name, random);
    if (write_and_rename(dirfd, temp, name, data, n, durable, e) == 0)
        return 0;
    unlinkat(dirfd, temp, 0);
    return err_wrap(e, "cannot write %s", name);
}

// ".NAME.0123abcd", as file_write_atomic() names them.
static bool is_temporary(const char *entry, const char *name)
{
    size_t n = strlen(entry);
    return n > 10 && entry[0] == '.' && entry[n - 9] == '.' &&
           strspn(entry + n - 8, "0123456789abcdef") == 8 &&
           (!name || (strlen(name) == n - 10 && memcmp(entry + 1, name, n - 10) == 0));
}

void file_sweep_temporaries(int dirfd, const char *name)
{
    int own = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSEDIR DIR *dir = own < 0 ? NULL : fdopendir(own);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (is_temporary(entry->d_name, name))
            unlinkat(dirfd, entry->d_name, 0);
}
