// Forks' directories: made whole, found, swept.
#include "vm/fork.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/os.h"
#include "vm/locked-dir.h"
#include "vm/runtime.h"

#define DRAFT ".new-"

enum { FACTS_MAX = 64 << 10 };

int forks_open(const struct store *s)
{
    AUTO_FREE char *path = xasprintf("%s/forks", s->runtime);
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

json_t *fork_facts(const struct vm *fork, struct err *e)
{
    AUTO_FREE char *text = file_read(fork->fd, VM_FORK, FACTS_MAX, NULL, e);
    json_t *facts = text ? json_loads(text, 0, NULL) : NULL;
    if (json_is_string(json_object_get(facts, "base")) &&
        json_is_string(json_object_get(facts, "group")))
        return facts;
    json_decref(facts);
    if (text)
        err_set(e, ERR_FAILED, "%s of fork '%s' is damaged", VM_FORK, fork->id);
    return NULL;
}

bool fork_exists(const struct store *s, const char *id)
{
    AUTO_CLOSE int forks = forks_open(s);
    return forks >= 0 && faccessat(forks, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_of(const struct store *s, const char *id, const char *base)
{
    struct vm fork;
    struct err e;
    if (vm_open_unread(s, id, LOCK_NONE, &fork, &e) < 0)
        return false;
    bool is = fork.fork && lock_held(fork.fd, VM_LOCK) != LOCK_NONE;
    json_t *facts = is && base ? fork_facts(&fork, &e) : NULL;
    if (base)
        is = facts && strcmp(json_string_value(json_object_get(facts, "base")), base) == 0;
    json_decref(facts);
    vm_close(&fork);
    return is;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **forks_list(const struct store *s, const char *base)
{
    int own = forks_open(s);
    AUTO_CLOSEDIR DIR *dir = own < 0 ? NULL : fdopendir(own);
    char **ids = xcalloc(1, sizeof *ids);
    size_t n = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!id_valid(entry->d_name) || !is_of(s, entry->d_name, base))
            continue;
        ids = xrealloc(ids, (n + 2) * sizeof *ids);
        ids[n++] = xstrdup(entry->d_name);
        ids[n] = NULL;
    }
    qsort(ids, n, sizeof *ids, by_name);
    return ids;
}

static int write_facts(int dirfd, const json_t *facts, struct err *e)
{
    AUTO_FREE char *text = json_dumps(facts, JSON_COMPACT);
    return file_write_atomic(dirfd, VM_FORK, text, strlen(text), false, e);
}

static int fill(int forks, const char *name, const struct vm_config *c, const json_t *facts,
                struct vm *out, struct err *e)
{
    if (locked_dir_make(forks, name, &out->fd, &out->lock_fd, e) < 0 ||
        write_facts(out->fd, facts, e) < 0)
        return -1;
    return config_write(out->fd, c, false, e);
}

static bool vm_exists(const struct store *s, const char *id)
{
    struct stat st;
    return fstatat(s->fd, id, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int publish(int forks, const char *name, const struct vm *fork, bool *of_fork, struct err *e)
{
    *of_fork = false;
    if (os_rename_exclusive(forks, name, forks, fork->id) < 0) {
        *of_fork = errno == EEXIST;
        return *of_fork ? err_set(e, ERR_EXISTS, "a fork '%s' exists already", fork->id)
                        : err_sys(e, "cannot name fork '%s'", fork->id);
    }
    if (!vm_exists(fork->store, fork->id))
        return 0;
    renameat(forks, fork->id, forks, name);
    return err_set(e, ERR_EXISTS, "a VM '%s' exists (--name gives forks other names)", fork->id);
}

int forks_make(const struct store *s, struct err *e)
{
    AUTO_FREE char *path = xasprintf("%s/forks", s->runtime);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_sys(e, "cannot make %s", path);
    int fd = forks_open(s);
    return fd < 0 ? err_sys(e, "cannot use %s", path) : fd;
}

int fork_make(const struct store *s, const struct vm_config *c, const json_t *facts, struct vm *out,
              bool *of_fork, struct err *e)
{
    *out = (struct vm){.store = s, .id = xstrdup(c->vm_id), .fd = -1, .lock_fd = -1, .fork = true};
    *of_fork = false;
    config_copy(c, c->vm_id, &out->config);
    uint64_t random;
    os_random(&random, sizeof random);
    AUTO_FREE char *name = xasprintf("%s%016" PRIx64, DRAFT, random);
    AUTO_CLOSE int forks = forks_make(s, e);
    struct err ignored;
    if (forks >= 0 && fill(forks, name, c, facts, out, e) == 0 &&
        publish(forks, name, out, of_fork, e) == 0)
        return 0;
    if (forks >= 0)
        tree_remove(forks, name, &ignored);
    vm_close(out);
    return -1;
}

// First a name that nobody takes for a fork, then what takes longer.
static void remove_dir(const struct store *s, int forks, const char *id)
{
    struct err ignored;
    AUTO_FREE char *gone = xasprintf(".gone-%s", id);
    AUTO_FREE char *nic = xasprintf("/tmp/qemu-dgram-%s.sock", id);
    runtime_remove(s, id);
    socket_remove_dead(nic);
    if (renameat(forks, id, forks, gone) == 0)
        tree_remove(forks, gone, &ignored);
}

void fork_remove(const struct vm *fork)
{
    AUTO_CLOSE int forks = forks_open(fork->store);
    if (forks >= 0)
        remove_dir(fork->store, forks, fork->id);
}

static void sweep(const struct store *s, int forks, const char *name)
{
    struct err ignored;
    AUTO_CLOSE int fd = openat(forks, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    AUTO_CLOSE int lock_fd = -1;
    if (fd < 0 || !locked_dir_abandoned(fd, &lock_fd))
        return;
    if (name[0] == '.')
        tree_remove(forks, name, &ignored);
    else
        remove_dir(s, forks, name);
}

void forks_sweep(const struct store *s)
{
    AUTO_CLOSE int forks = forks_open(s);
    int own = forks < 0 ? -1 : dup(forks);
    AUTO_CLOSEDIR DIR *dir = own < 0 ? NULL : fdopendir(own);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            sweep(s, forks, entry->d_name);
}
