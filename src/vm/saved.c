// Making, finding, retiring and discarding a saved state.
#include "vm/saved.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "vm/facts.h"
#include "vm/store.h"

#define DRAFT ".SaveFile.new"
#define GONE ".SaveFile.gone"
#define MANIFEST "manifest.json"

enum { MANIFEST_VERSION = 1, MANIFEST_MAX = 1 << 20 };

static const char *const dir_of[] = {
    [SAVED_READY] = VM_SAVED,
    [SAVED_RETIRED] = VM_RETIRED,
};

enum saved_kind saved_find(int vm_fd)
{
    if (faccessat(vm_fd, VM_SAVED, F_OK, 0) == 0)
        return SAVED_READY;
    return faccessat(vm_fd, VM_RETIRED, F_OK, 0) == 0 ? SAVED_RETIRED : SAVED_NONE;
}

int saved_open(int vm_fd, enum saved_kind kind, struct err *e)
{
    return dir_open(vm_fd, dir_of[kind], e);
}

static int check_form(const json_t *manifest, struct err *e)
{
    static const struct {
        const char *key;
        json_type type;
    } parts[] = {
        {"version", JSON_INTEGER}, {"engine", JSON_OBJECT}, {"files", JSON_OBJECT},
        {"nics", JSON_ARRAY},      {"config", JSON_OBJECT}, {"boot", JSON_STRING},
    };
    const json_t *version = json_object_get(manifest, "version");
    if (json_is_integer(version) && json_integer_value(version) != MANIFEST_VERSION)
        return err_set(e, ERR_FAILED, "the saved state has version %lld, this tailmac reads %d",
                       (long long)json_integer_value(version), MANIFEST_VERSION);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *part = json_object_get(manifest, parts[i].key);
        if (!part || json_typeof(part) != parts[i].type)
            return err_set(e, ERR_FAILED, "the saved state's %s is damaged: %s", MANIFEST,
                           parts[i].key);
    }
    return 0;
}

json_t *saved_manifest(int vm_fd, enum saved_kind kind, struct err *e)
{
    AUTO_CLOSE int dir = saved_open(vm_fd, kind, e);
    size_t n;
    AUTO_FREE char *text = dir < 0 ? NULL : file_read(dir, MANIFEST, MANIFEST_MAX, &n, e);
    if (!text) {
        err_wrap(e, "the saved state");
        return NULL;
    }
    json_error_t why;
    json_t *manifest = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    if (!manifest) {
        err_set(e, ERR_FAILED, "the saved state's %s is damaged: %s", MANIFEST, why.text);
        return NULL;
    }
    if (check_form(manifest, e) == 0)
        return manifest;
    json_decref(manifest);
    return NULL;
}

int saved_begin(int vm_fd, struct err *e)
{
    if (tree_remove(vm_fd, DRAFT, e) < 0)
        return -1;
    if (mkdirat(vm_fd, DRAFT, 0755) < 0)
        return err_sys(e, "cannot make a directory for the saved state");
    return dir_open(vm_fd, DRAFT, e);
}

static void timestamp(char *out, size_t n)
{
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(out, n, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int store_manifest(int dir_fd, const json_t *manifest, bool sync, struct err *e)
{
    AUTO_FREE char *dumped = json_dumps(manifest, JSON_INDENT(2));
    AUTO_FREE char *text = xasprintf("%s\n", dumped);
    return file_write_atomic(dir_fd, MANIFEST, text, strlen(text), sync, e);
}

static int write_manifest(int dir_fd, json_t *manifest, bool sync, struct err *e)
{
    char text_of_time[32];
    char boot[64];
    timestamp(text_of_time, sizeof text_of_time);
    os_boot_id(boot, sizeof boot);
    json_object_set_new(manifest, "version", json_integer(MANIFEST_VERSION));
    json_object_set_new(manifest, "saved", json_string(text_of_time));
    json_object_set_new(manifest, "boot", json_string(boot));
    return store_manifest(dir_fd, manifest, sync, e);
}

static int rebind(const struct vm *source, int copy_fd, enum saved_kind kind, json_t *manifest,
                  struct err *e)
{
    struct facts facts;
    AUTO_CLOSE int saved = saved_open(copy_fd, kind, e);
    AUTO_CLOSE int disk = openat(copy_fd, VM_DISK, O_RDONLY | O_CLOEXEC);
    if (saved < 0)
        return -1;
    if (saved_check_files(source, manifest, kind, e) < 0)
        return kind == SAVED_RETIRED ? 0 : -1; // overtaken, as the next run will say
    if (disk < 0 || facts_of(disk, &facts) < 0)
        return err_sys(e, "cannot read %s", VM_DISK);
    json_object_set_new(json_object_get(manifest, "files"), VM_DISK, facts_to_json(&facts));
    json_object_set_new(json_object_get(manifest, "config"), "diskFormat", json_string("qcow2"));
    return store_manifest(saved, manifest, false, e);
}

int saved_rebind(const struct vm *source, int copy_fd, struct err *e)
{
    enum saved_kind kind = saved_find(copy_fd);
    if (kind == SAVED_NONE)
        return 0;
    json_t *manifest = saved_manifest(copy_fd, kind, e);
    int result = manifest ? rebind(source, copy_fd, kind, manifest, e) : -1;
    json_decref(manifest);
    return result;
}

int saved_publish(int vm_fd, int dir_fd, json_t *manifest, bool sync, struct err *e)
{
    if (write_manifest(dir_fd, manifest, sync, e) < 0)
        return -1;
    if (renameat(vm_fd, DRAFT, vm_fd, VM_SAVED) < 0)
        return err_sys(e, "cannot put the saved state in its place");
    if (!sync || dir_sync(vm_fd, e) == 0)
        return 0;
    // The guest goes on: a state of its past must not be found, nor be in the way of the next.
    renameat(vm_fd, VM_SAVED, vm_fd, DRAFT);
    return -1;
}

int saved_retire(int vm_fd, struct err *e)
{
    if (tree_remove(vm_fd, VM_RETIRED, e) < 0)
        return -1;
    if (renameat(vm_fd, VM_SAVED, vm_fd, VM_RETIRED) < 0)
        return err_sys(e, "cannot retire the saved state");
    return dir_sync(vm_fd, e);
}

int saved_unretire(int vm_fd, struct err *e)
{
    if (renameat(vm_fd, VM_RETIRED, vm_fd, VM_SAVED) < 0)
        return err_sys(e, "cannot put the saved state back");
    return dir_sync(vm_fd, e);
}

static int move_away(int vm_fd, const char *name, struct err *e)
{
    if (faccessat(vm_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (tree_remove(vm_fd, GONE, e) < 0)
        return -1;
    if (renameat(vm_fd, name, vm_fd, GONE) < 0)
        return err_sys(e, "cannot discard the saved state");
    return 0;
}

int saved_discard(int vm_fd, struct err *e)
{
    bool ready = saved_find(vm_fd) == SAVED_READY;
    if (move_away(vm_fd, VM_SAVED, e) < 0 || move_away(vm_fd, VM_RETIRED, e) < 0 ||
        move_away(vm_fd, DRAFT, e) < 0) // of a save that was killed: as big as the guest's memory
        return -1;
    // After a power cut a ready one must not be back beside a disk that was written since.
    return ready ? dir_sync(vm_fd, e) : 0;
}

static void remove_hidden(int vm_fd, const char *name)
{
    struct err e;
    if (tree_remove(vm_fd, name, &e) < 0)
        log_line("%s", e.msg);
}

void saved_abandon(int vm_fd)
{
    remove_hidden(vm_fd, DRAFT);
}

void saved_sweep(int vm_fd)
{
    remove_hidden(vm_fd, GONE);
}

static int take_value(const json_t *from, const char *key, struct vm_config *c, struct err *e)
{
    const json_t *value = json_object_get(from, key);
    if (!value)
        return 0;
    AUTO_FREE char *text = json_is_string(value) ? xstrdup(json_string_value(value))
                                                 : json_dumps(value, JSON_ENCODE_ANY);
    return config_set(c, key, text, e) < 0 ? err_wrap(e, "the saved state") : 0;
}

int saved_complete_config(const json_t *manifest, struct vm_config *c, char **warning,
                          struct err *e)
{
    // What makes the machine. Names, addresses and sockets are the configuration's own.
    static const char *const keys[] = {"engine",  "arch",       "machine", "cpu",
                                       "cpus",    "diskFormat", "kernel",  "initrd",
                                       "cmdline", "firmware",   "vsock"};
    *warning = NULL;
    const json_t *was = json_object_get(manifest, "config");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!config_has(c, keys[i]) && take_value(was, keys[i], c, e) < 0)
            return -1;
    uint64_t memory = c->memory_size;
    if (take_value(was, "memorySize", c, e) < 0)
        return -1;
    if (memory != c->memory_size)
        *warning = xasprintf("memorySize %llu is ignored: the saved state has %llu",
                             (unsigned long long)memory, (unsigned long long)c->memory_size);
    return 0;
}
