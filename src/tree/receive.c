// Receiving a tree, whoever sends it: names stay in the directory that was just made for them, and
// nothing that was there before is opened.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "tree/stream.h"

struct level {
    int fd;
    size_t path; // for tree_path_pop()
    struct timespec mtime;
    mode_t mode;
};

struct receiver {
    struct tree_in in;
    const struct tree_place *place;
    struct tree_count *count;
    struct tree_path path;
    int depth;
    struct level level[TREE_DEPTH_MAX]; // of directories that are not complete
    int root;                           // the top, complete, where it is a directory
    struct tree_head head;              // of the entry that is received
};

static int unwritable(const struct receiver *r, struct err *e)
{
    return err_sys(e, "cannot write %s", r->path.text);
}

// Where the entry is made, and under which name.
static int parent(const struct receiver *r)
{
    return r->depth ? r->level[r->depth - 1].fd : r->place->dir;
}

static const char *name(const struct receiver *r)
{
    return r->depth ? r->head.name : r->place->temporary;
}

static bool is_name(const char *text)
{
    return *text && !strchr(text, '/') && strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

static int get_head(struct receiver *r, bool directory, struct err *e)
{
    if (tree_get_head(&r->in, &r->head, e) < 0)
        return -1;
    if (r->depth)
        return is_name(r->head.name) ? 0 : tree_broken(e);
    return r->head.name[0] ? tree_broken(e) : tree_place_check(r->place, directory, e);
}

static int set_times(const struct timespec *mtime, int fd, struct err *e, const struct receiver *r)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, *mtime};
    return futimens(fd, times) < 0 ? unwritable(r, e) : 0;
}

// --- files ---

static int write_at(const struct receiver *r, int fd, const unsigned char *data, size_t n,
                    uint64_t at, struct err *e)
{
    while (n > 0) {
        ssize_t w = pwrite(fd, data, n, (off_t)at);
        if (w < 0 && errno != EINTR)
            return unwritable(r, e);
        w = w < 0 ? 0 : w;
        data += w;
        at += (uint64_t)w;
        n -= (size_t)w;
    }
    return 0;
}

// Data at or after *end, which it moves on.
static int get_data(struct receiver *r, int fd, uint64_t *end, struct err *e)
{
    uint64_t at;
    uint64_t n;
    if (tree_get_number(&r->in, &at, 8, e) < 0 || tree_get_number(&r->in, &n, 4, e) < 0)
        return -1;
    if (at < *end || n > TREE_CHUNK_MAX || at > INT64_MAX - n)
        return tree_broken(e);
    *end = at + n;
    r->count->bytes += n;
    while (at < *end) {
        const unsigned char *data;
        ssize_t got = tree_get_some(&r->in, &data, (size_t)(*end - at), e);
        if (got < 0 || write_at(r, fd, data, (size_t)got, at, e) < 0)
            return -1;
        at += (uint64_t)got;
    }
    return 0;
}

static int get_end(struct receiver *r, int fd, uint64_t end, struct err *e)
{
    uint64_t size;
    if (tree_get_number(&r->in, &size, 8, e) < 0)
        return -1;
    if (size < end || size > INT64_MAX)
        return tree_broken(e);
    if (size > end && ftruncate(fd, (off_t)size) < 0)
        return unwritable(r, e);
    return 0;
}

static int get_content(struct receiver *r, int fd, struct err *e)
{
    uint64_t end = 0;
    int kind;
    while ((kind = tree_get_kind(&r->in, e)) == TREE_DATA)
        if (get_data(r, fd, &end, e) < 0)
            return -1;
    if (kind < 0)
        return -1;
    return kind == TREE_END_OF_FILE ? get_end(r, fd, end, e) : tree_broken(e);
}

static int get_file(struct receiver *r, struct err *e)
{
    AUTO_CLOSE int fd =
        openat(parent(r), name(r), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return unwritable(r, e);
    r->count->files++;
    if (get_content(r, fd, e) < 0 || set_times(&r->head.mtime, fd, e, r) < 0)
        return -1;
    if (fchmod(fd, r->head.mode & 0777) < 0 || close(TAKE_FD(fd)) < 0)
        return unwritable(r, e);
    return 0;
}

// --- links and directories ---

static int get_link(struct receiver *r, struct err *e)
{
    char target[TREE_LINK_MAX + 1];
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, r->head.mtime};
    if (tree_get_text(&r->in, target, TREE_LINK_MAX, e) < 0)
        return -1;
    r->count->links++;
    if (symlinkat(target, parent(r), name(r)) < 0 ||
        utimensat(parent(r), name(r), times, AT_SYMLINK_NOFOLLOW) < 0)
        return unwritable(r, e);
    return 0;
}

// Nobody else gets in before it is complete.
static int enter(struct receiver *r, size_t path, struct err *e)
{
    if (r->depth == TREE_DEPTH_MAX)
        return tree_broken(e);
    if (mkdirat(parent(r), name(r), 0700) < 0)
        return unwritable(r, e);
    int fd = openat(parent(r), name(r), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return unwritable(r, e);
    r->count->directories++;
    r->level[r->depth++] = (struct level){
        .fd = fd, .path = path, .mode = r->head.mode & 01777, .mtime = r->head.mtime};
    return 0;
}

static int leave(struct receiver *r, struct err *e)
{
    if (r->depth == 0)
        return tree_broken(e);
    struct level *top = &r->level[--r->depth];
    AUTO_CLOSE int fd = top->fd;
    if (set_times(&top->mtime, fd, e, r) < 0)
        return -1;
    if (fchmod(fd, top->mode) < 0)
        return unwritable(r, e);
    tree_path_pop(&r->path, top->path);
    if (r->depth == 0)
        r->root = TAKE_FD(fd);
    return 0;
}

static int get_entry(struct receiver *r, int kind, struct err *e)
{
    if (get_head(r, kind == TREE_DIRECTORY, e) < 0)
        return -1;
    size_t was = tree_path_push(&r->path, r->depth ? r->head.name : r->place->name);
    if (kind == TREE_DIRECTORY)
        return enter(r, was, e);
    if ((kind == TREE_FILE ? get_file(r, e) : get_link(r, e)) < 0)
        return -1;
    tree_path_pop(&r->path, was);
    return 0;
}

static int get_record(struct receiver *r, struct err *e)
{
    int kind = tree_get_kind(&r->in, e);
    if (kind < 0)
        return -1;
    if (kind == TREE_UP)
        return leave(r, e);
    if (kind == TREE_DIRECTORY || kind == TREE_FILE || kind == TREE_LINK)
        return get_entry(r, kind, e);
    return tree_broken(e);
}

static int get_tree(struct receiver *r, struct err *e)
{
    if (tree_get_magic(&r->in, e) < 0)
        return -1;
    do {
        if (get_record(r, e) < 0)
            return -1;
    } while (r->depth > 0);
    int kind = tree_get_kind(&r->in, e);
    if (kind != TREE_END)
        return kind < 0 ? -1 : tree_broken(e);
    return tree_get_number(&r->in, &r->count->skipped, 8, e);
}

int tree_receive(const struct tree_place *p, const struct tree_io *io, struct tree_count *count,
                 struct err *e)
{
    AUTO_FREE struct receiver *r = xcalloc(1, sizeof *r);
    *count = (struct tree_count){0};
    r->in.io = io;
    r->place = p;
    r->count = count;
    r->root = -1;
    int result = get_tree(r, e) < 0 || tree_place_fill(p, r->root, e) < 0 ? -1 : 0;
    while (r->depth > 0)
        close(r->level[--r->depth].fd);
    if (r->root >= 0)
        close(r->root);
    return result;
}
