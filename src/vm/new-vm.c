// VMs that appear whole or not at all, and disappear at once: made and removed under hidden names.
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
#include "base/interrupt.h"
#include "base/mem.h"
#include "base/os.h"
#include "vm/fork.h"
#include "vm/locked-dir.h"
#include "vm/runtime.h"
#include "vm/store.h"

#define DRAFT ".new-"
#define GONE ".gone-"

static char *hidden_name(const char *prefix, const char *id)
{
    uint32_t random;
    os_random(&random, sizeof random);
    return xasprintf("%s%s-%08" PRIx32, prefix, id, random);
}

static int exists(const struct new_vm *draft, struct err *e)
{
    return err_set(e, ERR_EXISTS, "'%s' exists already in %s", draft->id, draft->store->path);
}

int new_vm_begin(const struct store *s, const char *id, struct new_vm *draft, struct err *e)
{
    struct stat st;
    *draft = (struct new_vm){.store = s, .fd = -1, .lock_fd = -1};
    if (id_check(id, e) < 0)
        return -1;
    draft->id = xstrdup(id);
    draft->name = hidden_name(DRAFT, id);
    bool taken = fstatat(s->fd, id, &st, AT_SYMLINK_NOFOLLOW) == 0 || fork_exists(s, id);
    if (!taken && locked_dir_make(s->fd, draft->name, &draft->fd, &draft->lock_fd, e) == 0)
        return 0;
    if (taken)
        exists(draft, e);
    else
        err_wrap(e, "in %s", s->path);
    new_vm_abandon(draft);
    return -1;
}

static int sync_files(int dirfd, struct err *e);

static int sync_entry(int dirfd, const char *name, struct err *e)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(e, "cannot sync %s", name);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return 0;
    AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "cannot sync %s", name);
    if (S_ISDIR(st.st_mode))
        return sync_files(fd, e);
    return fsync(fd) < 0 ? err_sys(e, "cannot sync %s", name) : 0;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the draft that we made.
static int sync_files(int dirfd, struct err *e)
{
    int own = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSEDIR DIR *dir = own < 0 ? NULL : fdopendir(own);
    if (!dir)
        return err_sys(e, "cannot list a directory");
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (sync_entry(dirfd, entry->d_name, e) < 0)
            return -1;
    }
    return dir_sync(dirfd, e);
}

int new_vm_publish(struct new_vm *draft, const struct vm_config *c, bool sync, struct err *e)
{
    int bundle = draft->store->fd;
    if (config_write(draft->fd, c, sync, e) < 0 || (sync && sync_files(draft->fd, e) < 0) ||
        interrupt_check(e) < 0)
        return -1;
    if (os_rename_exclusive(bundle, draft->name, bundle, draft->id) < 0)
        return errno == EEXIST ? exists(draft, e) : err_sys(e, "cannot name VM '%s'", draft->id);
    if (sync && dir_sync(bundle, e) < 0) {
        renameat(bundle, draft->id, bundle, draft->name);
        return -1;
    }
    free(draft->name);
    draft->name = NULL; // no longer ours to remove
    return 0;
}

void new_vm_abandon(struct new_vm *draft)
{
    struct err ignored;
    if (!draft->store)
        return;
    if (draft->name && draft->fd >= 0)
        tree_remove(draft->store->fd, draft->name, &ignored); // or a later sweep
    if (draft->lock_fd >= 0)
        close(draft->lock_fd);
    if (draft->fd >= 0)
        close(draft->fd);
    free(draft->id);
    free(draft->name);
    *draft = (struct new_vm){.fd = -1, .lock_fd = -1};
}

static void sweep(const struct store *s, const char *name)
{
    struct err ignored;
    AUTO_CLOSE int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    AUTO_CLOSE int lock_fd = -1;
    // By name: when its maker published it meanwhile, the name is gone and nothing is removed.
    if (fd >= 0 && locked_dir_abandoned(fd, &lock_fd))
        tree_remove(s->fd, name, &ignored);
}

void store_sweep(const struct store *s)
{
    int own = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSEDIR DIR *dir = own < 0 ? NULL : fdopendir(own);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strncmp(entry->d_name, DRAFT, strlen(DRAFT)) == 0 ||
            strncmp(entry->d_name, GONE, strlen(GONE)) == 0)
            sweep(s, entry->d_name);
    forks_sweep(s);
}

int vm_delete(struct vm *vm, struct err *e)
{
    int bundle = vm->store->fd;
    AUTO_FREE char *gone = hidden_name(GONE, vm->id);
    AUTO_FREE char *nic = xasprintf("/tmp/qemu-dgram-%s.sock", vm->id);
    runtime_remove(vm->store, vm->id);
    socket_remove_dead(nic);
    if (renameat(bundle, vm->id, bundle, gone) < 0)
        return err_sys(e, "cannot delete VM '%s'", vm->id);
    if (dir_sync(bundle, e) < 0 || tree_remove(bundle, gone, e) < 0)
        return err_wrap(e, "VM '%s' is deleted, its files not yet", vm->id);
    return 0;
}
