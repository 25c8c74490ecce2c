// Files of a VM's directory, copied sparsely or by sharing blocks.
#include "vm/parts.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/os.h"
#include "vm/disk.h"

static int copy_to_name(int src, int dirfd, const char *name, file_progress *progress, void *arg,
                        struct err *e)
{
    AUTO_CLOSE int dst = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (dst < 0)
        return err_sys(e, "cannot create %s", name);
    if (file_copy(src, dst, NULL, progress, arg, e) < 0)
        return -1;
    return fsync(dst) < 0 ? err_sys(e, "cannot sync %s", name) : 0;
}

static int install(int src, int dirfd, const char *name, file_progress *progress, void *arg,
                   struct err *e)
{
    uint32_t random;
    os_random(&random, sizeof random);
    AUTO_FREE char *temp = xasprintf(".%s.%08x", name, random);
    if (copy_to_name(src, dirfd, temp, progress, arg, e) == 0) {
        if (renameat(dirfd, temp, dirfd, name) == 0)
            return 0;
        err_sys(e, "cannot name %s", name);
    }
    unlinkat(dirfd, temp, 0);
    return -1;
}

static int open_source(const char *source, struct err *e)
{
    struct stat st;
    AUTO_CLOSE int fd = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "cannot open %s", source);
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return err_set(e, ERR_FAILED, "%s is %s", source,
                       S_ISREG(st.st_mode) ? "empty" : "not a file");
    return TAKE_FD(fd);
}

int part_install(int dirfd, const char *name, const char *source, file_progress *progress,
                 void *arg, struct err *e)
{
    AUTO_CLOSE int src = open_source(source, e);
    if (src < 0)
        return -1;
    return install(src, dirfd, name, progress, arg, e) < 0 ? err_wrap(e, "%s", source) : 0;
}

int part_install_disk(int dirfd, const char *source, file_progress *progress, void *arg,
                      struct err *e)
{
    struct disk_info disk;
    AUTO_CLOSE int src = open_source(source, e);
    if (src < 0)
        return -1;
    if (disk_probe(src, &disk, e) < 0 || install(src, dirfd, VM_DISK, progress, arg, e) < 0)
        return err_wrap(e, "%s", source);
    // A raw image may end within a sector; no disk does.
    return strcmp(disk.format, "raw") == 0 ? disk_grow(dirfd, VM_DISK, disk.size, e) : 0;
}

int part_new_identity(int dirfd, struct err *e)
{
    uint8_t u[16];
    char text[64];
    os_random(u, sizeof u);
    u[6] = (uint8_t)((u[6] & 0x0f) | 0x40); // RFC 9562: version 4,
    u[8] = (uint8_t)((u[8] & 0x3f) | 0x80); // variant 10
    int n = snprintf(text, sizeof text,
                     "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\n", u[0],
                     u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12],
                     u[13], u[14], u[15]);
    return file_write_atomic(dirfd, VM_MACHINE_ID, text, (size_t)n, true, e);
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; names && *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

// What another VM does not get. Logs with what rotation made of them: "host.log", "host.log.1".
static bool stays_behind(const char *name)
{
    static const char *const names[] = {VM_CONFIG,   VM_LOCK,       VM_RUN,     VM_CONSOLE_LOG,
                                        VM_HOST_LOG, VM_ENGINE_LOG, VM_SSH_KEY, VM_KNOWN_HOSTS};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(name, names[i], n) == 0 && (name[n] == 0 || name[n] == '.'))
            return true;
    }
    return false;
}

struct copying {
    const char *const *but; // left out; may be NULL
    file_progress *progress;
    void *arg;
};

static int copy_file(int from, int to, const char *name, const struct copying *c, struct err *e)
{
    struct stat st;
    AUTO_CLOSE int src = openat(from, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    AUTO_CLOSE int dst = openat(to, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (src < 0 || dst < 0 || fstat(src, &st) < 0)
        return err_sys(e, "cannot copy %s", name);
    if (file_copy(src, dst, NULL, c->progress, c->arg, e) < 0)
        return err_wrap(e, "%s", name);
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, os_modified(&st)};
    if (fchmod(dst, st.st_mode & 0777) < 0 || futimens(dst, times) < 0)
        return err_sys(e, "cannot copy %s", name);
    return 0;
}

static int copy_level(int from, int to, int depth, const struct copying *c, struct err *e);

static int copy_dir(int from, int to, const char *name, int depth, const struct copying *c,
                    struct err *e)
{
    if (depth > 0)
        return err_set(e, ERR_FAILED, "%s: a directory so deep is not part of a VM", name);
    AUTO_CLOSE int src = dir_open(from, name, e);
    if (src < 0)
        return -1;
    if (mkdirat(to, name, 0700) < 0)
        return err_sys(e, "cannot make directory %s", name);
    AUTO_CLOSE int dst = dir_open(to, name, e);
    if (dst < 0)
        return -1;
    return copy_level(src, dst, depth + 1, c, e) < 0 ? err_wrap(e, "%s", name) : 0;
}

// NOLINTNEXTLINE(misc-no-recursion): two levels.
static int copy_level(int from, int to, int depth, const struct copying *c, struct err *e)
{
    struct stat st;
    int own = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSEDIR DIR *dir = own < 0 ? NULL : fdopendir(own);
    if (!dir)
        return err_sys(e, "cannot list a directory");
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *name = entry->d_name;
        // Half-made, half-removed, or a temporary of a writer that was killed.
        bool hidden = name[0] == '.' && strcmp(name, VM_RETIRED) != 0;
        bool left_out = stays_behind(name) || is_one_of(name, c->but);
        if (hidden || (depth == 0 && left_out))
            continue;
        if (fstatat(from, name, &st, 0) < 0)
            return err_sys(e, "cannot copy %s", name);
        int result = S_ISDIR(st.st_mode)   ? copy_dir(from, to, name, depth, c, e)
                     : S_ISREG(st.st_mode) ? copy_file(from, to, name, c, e)
                                           : 0; // sockets and the like hold nothing
        if (result < 0)
            return -1;
    }
    return 0;
}

int parts_copy(int from, int to, const char *const *but, file_progress *progress, void *arg,
               struct err *e)
{
    const struct copying c = {.but = but, .progress = progress, .arg = arg};
    return copy_level(from, to, 0, &c, e);
}
