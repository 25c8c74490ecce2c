// Sending a tree: a walk that follows no symbolic link but the first, and finds the holes.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/os.h"
#include "tree/stream.h"

struct sender {
    struct tree_out out;
    struct tree_count *count;
    struct tree_path path;
    int depth;
    int dir; // whose entries are sent
};

static struct tree_head head_of(const struct stat *st, const char *name)
{
    // The bits for setting ids stay behind: the owner is another one. (sticky is kept)
    struct tree_head h = {.mode = st->st_mode & 01777, .mtime = os_modified(st)};
    memcpy(h.name, name, strlen(name) + 1);
    return h;
}

static int unreadable(const struct sender *s, struct err *e)
{
    return err_sys(e, "cannot read %s", s->path.text);
}

// --- files ---

// The next run of data at or after *at, up to *end. 0: there is none.
static int next_run(int fd, off_t *at, off_t *end, off_t size)
{
    // Files of /proc have no size, and those of some file systems no holes.
    off_t start = size == 0 ? -1 : lseek(fd, *at, SEEK_DATA);
    *end = size == 0 ? INT64_MAX : size;
    if (start < 0)
        return size == 0 || (errno != ENXIO && *at < size);
    off_t stop = lseek(fd, start, SEEK_HOLE);
    *at = start;
    if (stop > start && stop < size)
        *end = stop;
    return start < size;
}

// 1: all of the run; 0: the file ended in it.
static int send_run(struct sender *s, int fd, off_t *at, off_t end, struct err *e)
{
    while (*at < end) {
        bool unread;
        ssize_t n = tree_put_data(&s->out, fd, *at, (uint64_t)(end - *at), &unread, e);
        if (n < 0)
            return unread ? unreadable(s, e) : -1;
        if (n == 0)
            return 0;
        *at += n;
        s->count->bytes += (uint64_t)n;
    }
    return 1;
}

static int send_data(struct sender *s, int fd, off_t size, struct err *e)
{
    off_t at = 0;
    off_t end;
    while (next_run(fd, &at, &end, size)) {
        int whole = send_run(s, fd, &at, end, e);
        if (whole < 0)
            return -1;
        if (!whole) { // it is shorter than it was
            size = at;
            break;
        }
    }
    return tree_put_kind(&s->out, TREE_END_OF_FILE, e) < 0 ||
                   tree_put_number(&s->out, (uint64_t)size, 8, e) < 0
               ? -1
               : 0;
}

static int send_file(struct sender *s, int fd, const char *name, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return unreadable(s, e);
    struct tree_head h = head_of(&st, name);
    s->count->files++;
    return tree_put_head(&s->out, TREE_FILE, &h, e) < 0 ? -1 : send_data(s, fd, st.st_size, e);
}

// --- links and directories ---

static int send_link(struct sender *s, int dir, const char *name, const struct stat *st,
                     struct err *e)
{
    char target[TREE_LINK_MAX + 1];
    struct tree_head h = head_of(st, name);
    ssize_t n = readlinkat(dir, name, target, sizeof target);
    if (n < 0)
        return unreadable(s, e);
    if ((size_t)n == sizeof target)
        return err_set(e, ERR_FAILED, "%s leads too far: at most 4095 bytes", s->path.text);
    target[n] = 0;
    s->count->links++;
    return tree_put_head(&s->out, TREE_LINK, &h, e) < 0 || tree_put_text(&s->out, target, e) < 0
               ? -1
               : 0;
}

static int send_entry(struct sender *s, int dir, const char *path, bool top, struct err *e);

static int send_child(void *arg, const char *name, struct err *e)
{
    struct sender *s = arg;
    size_t was = tree_path_push(&s->path, name);
    int result = send_entry(s, s->dir, name, false, e);
    tree_path_pop(&s->path, was);
    return result;
}

// NOLINTNEXTLINE(misc-no-recursion): at most TREE_DEPTH_MAX.
static int send_directory(struct sender *s, int fd, const char *name, struct err *e)
{
    struct stat st;
    if (s->depth == TREE_DEPTH_MAX)
        return err_set(e, ERR_FAILED, "%s is too deep: at most %d directories", s->path.text,
                       TREE_DEPTH_MAX);
    if (fstat(fd, &st) < 0)
        return unreadable(s, e);
    struct tree_head h = head_of(&st, name);
    if (tree_put_head(&s->out, TREE_DIRECTORY, &h, e) < 0)
        return -1;
    int above = s->dir;
    s->count->directories++;
    s->depth++;
    s->dir = fd;
    int result = dir_each(fd, send_child, s, e);
    s->dir = above;
    s->depth--;
    return result < 0 ? -1 : tree_put_kind(&s->out, TREE_UP, e);
}

// What is at a path: the top's is followed, as whoever named it expects.
// NOLINTNEXTLINE(misc-no-recursion): at most TREE_DEPTH_MAX.
static int send_entry(struct sender *s, int dir, const char *path, bool top, struct err *e)
{
    const char *name = top ? "" : path;
    struct stat st;
    if (fstatat(dir, path, &st, top ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
        return !top && errno == ENOENT ? 0 : unreadable(s, e); // removed meanwhile
    if (S_ISLNK(st.st_mode))
        return send_link(s, dir, path, &st, e);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        s->count->skipped++;
        return !top ? 0
                    : err_set(e, ERR_FAILED, "%s is neither a file nor a directory", s->path.text);
    }
    int how = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    how |= (top ? 0 : O_NOFOLLOW) | (S_ISDIR(st.st_mode) ? O_DIRECTORY : 0);
    AUTO_CLOSE int fd = openat(dir, path, how);
    if (fd < 0)
        return !top && errno == ENOENT ? 0 : unreadable(s, e);
    return S_ISDIR(st.st_mode) ? send_directory(s, fd, name, e) : send_file(s, fd, name, e);
}

int tree_send(const char *path, const struct tree_io *io, struct tree_count *count, struct err *e)
{
    AUTO_FREE struct sender *s = xcalloc(1, sizeof *s);
    *count = (struct tree_count){0};
    s->out.io = io;
    s->count = count;
    tree_path_push(&s->path, path);
    if (tree_put_magic(&s->out, e) < 0 || send_entry(s, AT_FDCWD, path, true, e) < 0)
        return -1;
    return tree_put_kind(&s->out, TREE_END, e) < 0 ||
                   tree_put_number(&s->out, count->skipped, 8, e) < 0
               ? -1
               : tree_out_flush(&s->out, e);
}
