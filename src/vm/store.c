// The bundle and the VMs in it: found, listed, opened under their locks.
#include "vm/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "vm/children.h"
#include "vm/disk.h"
#include "vm/fork.h"
#include "vm/pool.h"
#include "vm/runtime.h"

enum { CONFIG_LIMIT = 1 << 20 }; // bytes of a config.json

static char *usual_home(void)
{
    const char *home = getenv("HOME");
    if (home && *home)
        return xasprintf("%s/VM.bundle", home);
    const struct passwd *user = getpwuid(getuid());
    return xasprintf("%s/VM.bundle", user ? user->pw_dir : "");
}

static bool same_directory(const char *a, const char *b)
{
    struct stat sa;
    struct stat sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

int store_open(struct store *s, const char *home, struct err *e)
{
    *s = (struct store){.fd = -1};
    const char *env = getenv("TAILMAC_HOME");
    AUTO_FREE char *usual = usual_home();
    const char *path = home && *home ? home : env && *env ? env : usual;
    if (dir_make(path, 0700, e) < 0)
        return err_wrap(e, "cannot use the bundle %s", path);
    s->path = realpath(path, NULL);
    s->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!s->path || s->fd < 0) {
        err_sys(e, "cannot use the bundle %s", path);
        store_close(s);
        return -1;
    }
    s->runtime = runtime_dir_make(same_directory(s->path, usual) ? NULL : s->path, e);
    if (!s->runtime) {
        store_close(s);
        return -1;
    }
    return 0;
}

void store_close(struct store *s)
{
    if (s->fd >= 0)
        close(s->fd);
    free(s->path);
    free(s->runtime);
    *s = (struct store){.fd = -1};
}

static bool is_vm(int bundle, const char *id)
{
    struct stat st;
    AUTO_FREE char *config = xasprintf("%s/%s", id, VM_CONFIG);
    return id_valid(id) && fstatat(bundle, config, &st, 0) == 0 && S_ISREG(st.st_mode);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **store_list(const struct store *s, struct err *e)
{
    int own = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSEDIR DIR *dir = own < 0 ? NULL : fdopendir(own);
    if (!dir) {
        err_sys(e, "cannot list %s", s->path);
        return NULL;
    }
    char **ids = xcalloc(1, sizeof *ids);
    size_t n = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!is_vm(s->fd, entry->d_name))
            continue;
        ids = xrealloc(ids, (n + 2) * sizeof *ids);
        ids[n++] = xstrdup(entry->d_name);
        ids[n] = NULL;
    }
    char **forks = forks_list(s, NULL);
    for (char **id = forks; *id; id++) {
        ids = xrealloc(ids, (n + 2) * sizeof *ids);
        ids[n++] = *id;
        ids[n] = NULL;
    }
    free(forks);
    qsort(ids, n, sizeof *ids, by_name);
    return ids;
}

void store_list_free(char **ids)
{
    for (char **id = ids; id && *id; id++)
        free(*id);
    free(ids);
}

char *store_list_text(char *const *ids)
{
    enum { NAMED = 3 };
    char *text = NULL;
    int n = 0;
    for (; ids[n]; n++) {
        if (n >= NAMED)
            continue;
        AUTO_FREE char *before = text;
        text = before ? xasprintf("%s, %s", before, ids[n]) : xstrdup(ids[n]);
    }
    if (n <= NAMED)
        return text;
    AUTO_FREE char *some = text;
    return xasprintf("%s and %d more", some, n - NAMED);
}

static char *name_forks(const struct vm *vm)
{
    char **ids = forks_list(vm->store, vm->id);
    char *text = store_list_text(ids);
    store_list_free(ids);
    return text;
}

static int busy(const struct vm *vm, struct err *e)
{
    AUTO_FREE char *forks = name_forks(vm);
    if (forks)
        return err_set(e, ERR_BUSY, "VM '%s' has forks: %s", vm->id, forks);
    if (pool_exists(vm->store, vm->id))
        return err_set(e, ERR_BUSY, "VM '%s' has a pool of forks ('tailmac pool --drain' ends it)",
                       vm->id);
    if (lock_held(vm->fd, VM_LOCK) != LOCK_SHARED)
        return err_set(e, ERR_BUSY, "VM '%s' is running or being changed", vm->id);
    if (children_refuse(vm->store, vm->id, e) < 0)
        return -1;
    return err_set(e, ERR_BUSY, "VM '%s' is being copied", vm->id);
}

static int no_vm(const struct vm *vm, struct err *e)
{
    return err_set(e, ERR_NO_VM, "there is no VM '%s' in %s", vm->id, vm->store->path);
}

// Whether the directory is still there under its name: it may have been deleted before we locked
// it.
static bool still_there(const struct vm *vm)
{
    struct stat by_fd;
    struct stat by_id;
    return fstat(vm->fd, &by_fd) == 0 && fstatat(vm->store->fd, vm->id, &by_id, 0) == 0 &&
           by_fd.st_dev == by_id.st_dev && by_fd.st_ino == by_id.st_ino;
}

static void open_dir(struct vm *vm)
{
    vm->fd = openat(vm->store->fd, vm->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (vm->fd >= 0 || errno != ENOENT)
        return;
    AUTO_CLOSE int forks = forks_open(vm->store);
    vm->fd = forks < 0 ? -1 : openat(forks, vm->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    vm->fork = vm->fd >= 0;
}

static int open_and_lock(struct vm *vm, enum lock_kind lock, struct err *e)
{
    open_dir(vm);
    if (vm->fd < 0 && errno != ENOENT && errno != ENOTDIR)
        return err_sys(e, "cannot open VM '%s'", vm->id);
    if (vm->fd < 0 || !vm_has_file(vm, VM_CONFIG))
        return no_vm(vm, e);
    if (lock == LOCK_NONE)
        return 0;
    if (vm->fork) // which is Host's from its first moment to its last
        return lock_held(vm->fd, VM_LOCK) == LOCK_NONE ? no_vm(vm, e) : busy(vm, e);
    vm->lock_fd = lock_take(vm->fd, VM_LOCK, lock, e);
    if (vm->lock_fd < 0 && e->code == ERR_BUSY)
        return busy(vm, e);
    if (vm->lock_fd < 0 && e->code == ERR_NO_VM)
        return no_vm(vm, e);
    if (vm->lock_fd < 0)
        return err_wrap(e, "VM '%s'", vm->id);
    return still_there(vm) ? 0 : no_vm(vm, e);
}

int vm_open_unread(const struct store *s, const char *id, enum lock_kind lock, struct vm *vm,
                   struct err *e)
{
    *vm = (struct vm){.store = s, .fd = -1, .lock_fd = -1};
    if (id_check(id, e) < 0)
        return -1;
    vm->id = xstrdup(id);
    config_init(&vm->config, id);
    if (open_and_lock(vm, lock, e) == 0)
        return 0;
    vm_close(vm);
    return -1;
}

// What the file leaves out and the directory tells.
static int look_around(struct vm *vm, struct err *e)
{
    struct vm_config *c = &vm->config;
    struct disk_info disk;
    if (!config_has(c, "kernel") && vm_has_file(vm, VM_KERNEL))
        c->kernel = xstrdup(VM_KERNEL);
    if (!config_has(c, "initrd") && vm_has_file(vm, VM_INITRD))
        c->initrd = xstrdup(VM_INITRD);
    if (config_has(c, "diskFormat") || !vm_has_file(vm, VM_DISK))
        return 0;
    if (disk_probe_own(vm->fd, &disk, e) < 0)
        return -1;
    c->disk_format = xstrdup(disk.format);
    return 0;
}

static int read_config(struct vm *vm, struct err *e)
{
    size_t n;
    AUTO_FREE char *text = file_read(vm->fd, VM_CONFIG, CONFIG_LIMIT, &n, e);
    AUTO_FREE char *warning = NULL;
    if (!text)
        return -1;
    if (strlen(text) != n)
        return err_set(e, ERR_FAILED, "%s: it has a NUL byte", VM_CONFIG);
    config_free(&vm->config);
    if (config_parse(text, vm->id, &vm->config, &warning, e) < 0)
        return err_wrap(e, "%s", VM_CONFIG);
    if (warning)
        fprintf(stderr, "tailmac: warning: VM '%s': %s: %s\n", vm->id, VM_CONFIG, warning);
    return look_around(vm, e);
}

int vm_open(const struct store *s, const char *id, enum lock_kind lock, struct vm *vm,
            struct err *e)
{
    if (vm_open_unread(s, id, lock, vm, e) < 0)
        return -1;
    if (read_config(vm, e) == 0)
        return 0;
    vm_close(vm);
    return err_wrap(e, "VM '%s'", id);
}

void vm_close(struct vm *vm)
{
    if (!vm->store)
        return;
    if (vm->lock_fd >= 0)
        close(vm->lock_fd);
    if (vm->fd >= 0)
        close(vm->fd);
    free(vm->id);
    config_free(&vm->config);
    *vm = (struct vm){.fd = -1, .lock_fd = -1};
}

bool vm_has_file(const struct vm *vm, const char *name)
{
    struct stat st;
    return fstatat(vm->fd, name, &st, 0) == 0;
}

int config_write(int dirfd, const struct vm_config *c, bool sync, struct err *e)
{
    json_t *doc = config_to_file(c);
    AUTO_FREE char *text = json_dumps(doc, JSON_INDENT(2));
    json_decref(doc);
    if (!text)
        return err_set(e, ERR_FAILED, "cannot write %s", VM_CONFIG);
    AUTO_FREE char *lines = xasprintf("%s\n", text);
    return file_write_atomic(dirfd, VM_CONFIG, lines, strlen(lines), sync, e);
}

int vm_write_config(struct vm *vm, struct err *e)
{
    return config_write(vm->fd, &vm->config, true, e) < 0 ? err_wrap(e, "VM '%s'", vm->id) : 0;
}
