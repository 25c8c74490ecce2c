// Where a copy goes to, and how what is whole gets there: by renames, entry by entry only where a
// directory is there already.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/os.h"
#include "tree/tree.h"

// The last part of a path, without slashes behind it, and where it begins.
static const char *last_part(const char *path, size_t *n)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    *n = end - begin;
    return path + begin;
}

static bool is_name(const char *part, size_t n)
{
    // Of "." and ".." the first n are all.
    return n > 0 && n <= TREE_NAME_MAX && strncmp(part, "..", n) != 0;
}

void tree_name(const char *path, char out[static TREE_NAME_MAX + 1])
{
    size_t n;
    const char *part = last_part(path, &n);
    snprintf(out, TREE_NAME_MAX + 1, "%.*s", is_name(part, n) ? (int)n : 0, part);
}

// --- temporary names ---

static const char hidden[] = ".tailmac-cp-";
enum { BOOT = 8 }; // characters of a boot's id in a name

static void name_temporary(char out[static TREE_TEMPORARY])
{
    char boot[64];
    uint64_t number;
    os_boot_id(boot, sizeof boot);
    os_random(&number, sizeof number);
    snprintf(out, TREE_TEMPORARY, "%s%-*.*s-%016" PRIx64, hidden, BOOT, BOOT, boot, number);
}

bool tree_place_is_stale(const char *name)
{
    char now[TREE_TEMPORARY];
    size_t mark = strlen(hidden);
    if (strncmp(name, hidden, mark) != 0)
        return false;
    name_temporary(now);
    return strlen(name) == strlen(now) && name[mark + BOOT] == '-' &&
           strncmp(name, now, mark + BOOT) != 0 &&
           strncmp(now + mark, OS_BOOT_UNKNOWN, strlen(OS_BOOT_UNKNOWN)) != 0;
}

// --- opening ---

// Beside an entry that is or is to be.
static int open_parent(struct tree_place *p, const char *path, struct err *e)
{
    AUTO_FREE char *parent = xstrdup(path);
    size_t n;
    size_t begin = (size_t)(last_part(path, &n) - path);
    parent[begin] = 0;
    tree_name(path, p->name);
    if (!p->name[0])
        return err_set(e, ERR_FAILED, "'%s' cannot be the name of a copy", path);
    p->wants_directory = path[begin + n] == '/';
    p->dir = dir_open(AT_FDCWD, begin ? parent : ".", e);
    return p->dir < 0 ? -1 : 0;
}

int tree_place_open(struct tree_place *p, const char *path, const char *source, struct err *e)
{
    struct stat st;
    *p = (struct tree_place){.dir = -1};
    name_temporary(p->temporary);
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return open_parent(p, path, e);
    if (strlen(source) > TREE_NAME_MAX || strchr(source, '/') || strcmp(source, ".") == 0 ||
        strcmp(source, "..") == 0)
        return err_set(e, ERR_USAGE, "'%s' cannot be the name of a copy", source);
    snprintf(p->name, sizeof p->name, "%s", source);
    p->dir = dir_open(AT_FDCWD, path, e);
    return p->dir < 0 ? -1 : 0;
}

void tree_place_close(struct tree_place *p)
{
    if (p->dir >= 0)
        close(p->dir);
    p->dir = -1;
}

// --- what is there already ---

static int in_the_way(bool directory, const char *name, struct err *e)
{
    return err_set(e, ERR_EXISTS, "%s is there and is %s directory: nothing is replaced", name,
                   directory ? "no" : "a");
}

static int check_name(int dir, const char *name, bool directory, struct err *e)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "cannot look at %s", name);
    return S_ISDIR(st.st_mode) == directory ? 1 : in_the_way(directory, name, e);
}

int tree_place_check(const struct tree_place *p, bool directory, struct err *e)
{
    if (!directory && !p->name[0])
        return err_set(e, ERR_FAILED, "only a directory can be copied without its name");
    if (!directory && p->wants_directory)
        return err_set(e, ERR_FAILED, "there is no directory %s/", p->name);
    return !p->name[0] || check_name(p->dir, p->name, directory, e) >= 0 ? 0 : -1;
}

// Opens a directory of `dir`, without following a link; -1: it is none, or errno says why.
static int open_directory(int dir, const char *name)
{
    return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

// Two directories that become one.
struct pair {
    int from, to;
};

static int check_pair(void *arg, const char *name, struct err *e)
{
    const struct pair *p = arg;
    struct stat st;
    if (fstatat(p->from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(e, "cannot look at %s", name);
    int there = check_name(p->to, name, S_ISDIR(st.st_mode), e);
    if (there <= 0 || !S_ISDIR(st.st_mode))
        return there < 0 ? -1 : 0;
    AUTO_CLOSE int from = open_directory(p->from, name);
    AUTO_CLOSE int to = open_directory(p->to, name);
    if (from < 0 || to < 0)
        return err_sys(e, "cannot look into %s", name);
    struct pair below = {from, to};
    return dir_each(from, check_pair, &below, e);
}

// --- moving ---

static int move(int from, const char *name, int to, const char *as, int fd, struct err *e);

static int move_entry(void *arg, const char *name, struct err *e)
{
    const struct pair *p = arg;
    AUTO_CLOSE int fd = open_directory(p->from, name);
    if (fd < 0 && errno != ENOTDIR && errno != ELOOP)
        return err_sys(e, "cannot open %s", name);
    return move(p->from, name, p->to, name, fd, e);
}

static int move_entries(int from, int to, struct err *e)
{
    struct pair pair = {from, to};
    return dir_each(from, move_entry, &pair, e);
}

// A directory there is added to, and becomes like the one that came.
static int add(int fd, const struct stat *st, int to, const char *as, struct err *e)
{
    AUTO_CLOSE int there = open_directory(to, as);
    if (there < 0)
        return err_sys(e, "cannot open %s", as);
    if (move_entries(fd, there, e) < 0)
        return -1;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, os_modified(st)};
    if (fchmod(there, st->st_mode & 07777) < 0 || futimens(there, times) < 0)
        return err_sys(e, "cannot change %s", as);
    return 0;
}

// `fd` is open where it is a directory. Its owner must be able to write to one that moves.
static int move(int from, const char *name, int to, const char *as, int fd, struct err *e)
{
    struct stat st;
    if (fd >= 0 && (fstat(fd, &st) < 0 || fchmod(fd, 0700) < 0))
        return err_sys(e, "cannot move %s", as);
    if (renameat(from, name, to, as) < 0) {
        if (fd < 0 || (errno != ENOTEMPTY && errno != EEXIST))
            return err_sys(e, "cannot replace %s", as);
        return add(fd, &st, to, as, e);
    }
    return fd >= 0 && fchmod(fd, st.st_mode & 07777) < 0 ? err_sys(e, "cannot change %s", as) : 0;
}

static int check_all(const struct tree_place *p, int root, struct err *e)
{
    if (root < 0)
        return 0;
    AUTO_CLOSE int there = p->name[0] ? open_directory(p->dir, p->name) : dup(p->dir);
    if (there < 0)
        return errno == ENOENT ? 0 : err_sys(e, "cannot open %s", p->name);
    struct pair pair = {root, there};
    return dir_each(root, check_pair, &pair, e);
}

static int settle(const struct tree_place *p, struct err *e)
{
    return p->sync && p->sync(p->dir) < 0 ? err_sys(e, "cannot sync") : 0;
}

int tree_place_fill(const struct tree_place *p, int root, struct err *e)
{
    if (check_all(p, root, e) < 0 || settle(p, e) < 0)
        return -1;
    int result = p->name[0] ? move(p->dir, p->temporary, p->dir, p->name, root, e)
                            : move_entries(root, p->dir, e);
    return result < 0 ? -1 : settle(p, e);
}
