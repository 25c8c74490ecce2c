// Append, and rotate once at the limit.
#include "base/logfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

struct logfile {
    int dir_fd;
    char *name;
    off_t limit;
    off_t size;
    int fd;
};

static int open_file(struct logfile *l)
{
    struct stat st;
    l->fd = openat(l->dir_fd, l->name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (l->fd < 0 || fstat(l->fd, &st) < 0)
        return -1;
    l->size = st.st_size;
    return 0;
}

struct logfile *logfile_open(int dir_fd, const char *name, off_t limit, struct err *e)
{
    struct logfile *l = xcalloc(1, sizeof *l);
    *l = (struct logfile){.dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0),
                          .name = xstrdup(name),
                          .limit = limit,
                          .fd = -1};
    if (open_file(l) == 0)
        return l;
    err_sys(e, "cannot open %s", name);
    logfile_close(l);
    return NULL;
}

static void rotate(struct logfile *l)
{
    AUTO_FREE char *older = xasprintf("%s.1", l->name);
    close(l->fd);
    renameat(l->dir_fd, l->name, l->dir_fd, older);
    if (open_file(l) < 0)
        l->fd = -1;
}

void logfile_write(struct logfile *l, const void *data, size_t n)
{
    if (l->fd >= 0 && l->size > 0 && l->size + (off_t)n > l->limit)
        rotate(l);
    ssize_t w = l->fd < 0 ? -1 : write(l->fd, data, n);
    if (w > 0)
        l->size += w;
}

void logfile_close(struct logfile *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    close(l->dir_fd);
    free(l->name);
    free(l);
}
