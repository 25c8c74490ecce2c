// Log files by polling: a regular file has no event that every system tells.
#include "cli/follow.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/mem.h"

enum { LOOK_MS = 100 };

struct follow {
    struct vm vm;
    char *name;
    int fd;
};

// Goes back from the end over `lines` newlines.
static void seek_lines(int fd, int64_t lines)
{
    off_t at = lseek(fd, 0, SEEK_END);
    char block[4096];
    for (int64_t seen = -1; at > 0;) {
        off_t start = at > (off_t)sizeof block ? at - (off_t)sizeof block : 0;
        ssize_t n = pread(fd, block, (size_t)(at - start), start);
        for (; n > 0; n--)
            if (block[n - 1] == '\n' && ++seen == lines) {
                lseek(fd, start + n, SEEK_SET);
                return;
            }
        at = start;
    }
    lseek(fd, 0, SEEK_SET);
}

static void try_open(struct follow *f)
{
    f->fd = openat(f->vm.fd, f->name, O_RDONLY | O_CLOEXEC);
}

struct follow *follow_open(const struct store *s, const char *id, const char *name, int64_t lines,
                           struct err *e)
{
    struct follow *f = xcalloc(1, sizeof *f);
    f->fd = -1;
    if (vm_open_unread(s, id, LOCK_NONE, &f->vm, e) < 0) {
        free(f);
        return NULL;
    }
    f->name = xstrdup(name);
    try_open(f);
    if (f->fd >= 0 && lines >= 0)
        seek_lines(f->fd, lines);
    return f;
}

void follow_close(struct follow *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    free(f->name);
    vm_close(&f->vm);
    free(f);
}

void follow_print(struct follow *f)
{
    char text[16384];
    ssize_t n;
    while (f->fd >= 0 && (n = read(f->fd, text, sizeof text)) > 0)
        fwrite(text, 1, (size_t)n, stdout);
    fflush(stdout);
}

// A log that became NAME.1 is read to its end, then its successor from the beginning.
static void follow_rotation(struct follow *f)
{
    struct stat open_file;
    struct stat named;
    if (f->fd >= 0 && (fstat(f->fd, &open_file) < 0 || fstatat(f->vm.fd, f->name, &named, 0) < 0 ||
                       open_file.st_ino == named.st_ino))
        return;
    if (f->fd >= 0)
        close(f->fd);
    try_open(f);
}

void follow_until_stopped(struct follow *f)
{
    struct err e;
    bool held = true;
    while (held && interrupt_check(&e) == 0 && !ferror(stdout)) {
        held = lock_held(f->vm.fd, VM_LOCK) == LOCK_EXCLUSIVE;
        follow_print(f);
        follow_rotation(f);
        if (held)
            poll(NULL, 0, LOOK_MS);
    }
}
