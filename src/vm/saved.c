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
#include "vm/store.h"

#define DRAFT ".SaveFile.new"
#define RETIRED ".SaveFile.retired"
#define GONE ".SaveFile.gone"
#define MANIFEST "manifest.json"

enum { MANIFEST_VERSION = 1, MANIFEST_MAX = 1 << 20 };

static const char *const dir_of[] = {
    [SAVED_READY] = VM_SAVED,
    [SAVED_RETIRED] = RETIRED,
};

enum saved_kind saved_find(int vm_fd)
{
    if (faccessat(vm_fd, VM_SAVED, F_OK, 0) == 0)
        return SAVED_READY;
    return faccessat(vm_fd, RETIRED, F_OK, 0) == 0 ? SAVED_RETIRED : SAVED_NONE;
}

int saved_open(int vm_fd, enum saved_kind kind, struct err *e)
{
    return dir_open(vm_fd, dir_of[kind], e);
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
    int version;
    json_t *part;
    if (manifest && json_unpack_ex(manifest, &why, 0, "{s:i, s:o, s:o, s:o, s:o, s:s}", "version",
                                   &version, "engine", &part, "files", &part, "nics", &part,
                                   "config", &part, "boot", &text) < 0) {
        text = NULL; // json_unpack_ex lends strings
        json_decref(manifest);
        manifest = NULL;
    } else if (manifest) {
        text = NULL;
    }
    if (!manifest) {
        err_set(e, ERR_FAILED, "the saved state's %s is damaged: %s", MANIFEST, why.text);
    } else if (version != MANIFEST_VERSION) {
        err_set(e, ERR_FAILED, "the saved state has version %d, this tailmac reads %d", version,
                MANIFEST_VERSION);
        json_decref(manifest);
        manifest = NULL;
    }
    return manifest;
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

static int write_manifest(int dir_fd, json_t *manifest, bool sync, struct err *e)
{
    char text_of_time[32];
    char boot[64];
    timestamp(text_of_time, sizeof text_of_time);
    os_boot_id(boot, sizeof boot);
    json_object_set_new(manifest, "version", json_integer(MANIFEST_VERSION));
    json_object_set_new(manifest, "saved", json_string(text_of_time));
    json_object_set_new(manifest, "boot", json_string(boot));
    AUTO_FREE char *text = json_dumps(manifest, JSON_INDENT(2));
    return file_write_atomic(dir_fd, MANIFEST, text, strlen(text), sync, e);
}

int saved_publish(int vm_fd, int dir_fd, json_t *manifest, bool sync, struct err *e)
{
    if (write_manifest(dir_fd, manifest, sync, e) < 0)
        return -1;
    if (renameat(vm_fd, DRAFT, vm_fd, VM_SAVED) < 0)
        return err_sys(e, "cannot put the saved state in its place");
    if (sync && dir_sync(vm_fd, e) < 0)
        return -1;
    return 0;
}

int saved_retire(int vm_fd, struct err *e)
{
    if (tree_remove(vm_fd, RETIRED, e) < 0)
        return -1;
    if (renameat(vm_fd, VM_SAVED, vm_fd, RETIRED) < 0)
        return err_sys(e, "cannot retire the saved state");
    return dir_sync(vm_fd, e);
}

int saved_unretire(int vm_fd, struct err *e)
{
    if (renameat(vm_fd, RETIRED, vm_fd, VM_SAVED) < 0)
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
    return move_away(vm_fd, VM_SAVED, e) < 0 ? -1 : move_away(vm_fd, RETIRED, e);
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

int saved_complete_config(const json_t *manifest, struct vm_config *c, char **warning,
                          struct err *e)
{
    // What makes the machine. Names, addresses and sockets are the configuration's own.
    static const char *const keys[] = {"engine",     "arch",   "machine", "cpu",     "cpus",
                                       "diskFormat", "kernel", "initrd",  "cmdline", "firmware"};
    *warning = NULL;
    const json_t *was = json_object_get(manifest, "config");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(was, keys[i]);
        if (!value || config_has(c, keys[i]))
            continue;
        AUTO_FREE char *text = json_is_string(value) ? xstrdup(json_string_value(value))
                                                     : json_dumps(value, JSON_ENCODE_ANY);
        if (config_set(c, keys[i], text, e) < 0)
            return err_wrap(e, "the saved state");
    }
    uint64_t memory = (uint64_t)json_integer_value(json_object_get(was, "memorySize"));
    if (memory != 0 && memory != c->memory_size) {
        *warning = xasprintf("memorySize %llu is ignored: the saved state has %llu",
                             (unsigned long long)c->memory_size, (unsigned long long)memory);
        c->memory_size = memory;
    }
    return 0;
}
