// Whether the files beside a saved state are still what they were.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/os.h"
#include "vm/facts.h"
#include "vm/saved.h"
#include "vm/store.h"

// -1 with *absent where the file does not exist.
static int open_file(int vm_fd, const char *name, bool *absent, struct err *e)
{
    int fd = openat(vm_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // maybe a FIFO
    *absent = fd < 0 && errno == ENOENT;
    return fd < 0 && !*absent ? err_sys(e, "cannot read %s", name) : fd;
}

// The files that a guest runs from.
enum { FILES = 4 };
static void name_files(const struct vm *vm, const char *out[FILES])
{
    out[0] = VM_DISK;
    out[1] = VM_AUX;
    out[2] = vm->config.kernel ? vm->config.kernel : VM_KERNEL;
    out[3] = vm->config.initrd ? vm->config.initrd : VM_INITRD;
}

static int add_facts(int vm_fd, const char *name, json_t *all, struct err *e)
{
    bool absent;
    struct facts facts;
    AUTO_CLOSE int fd = open_file(vm_fd, name, &absent, e);
    if (fd < 0)
        return absent ? 0 : -1;
    if (facts_of(fd, &facts) < 0)
        return err_sys(e, "cannot read %s", name);
    json_object_set_new(all, name, facts_to_json(&facts));
    return 0;
}

json_t *saved_file_facts(const struct vm *vm, struct err *e)
{
    const char *files[FILES];
    name_files(vm, files);
    json_t *all = json_object();
    for (int i = 0; i < FILES; i++) {
        if (add_facts(vm->fd, files[i], all, e) == 0)
            continue;
        json_decref(all);
        return NULL;
    }
    return all;
}

static int check_file(int vm_fd, const char *name, const json_t *doc, bool strict, struct err *e)
{
    bool absent;
    struct facts was;
    AUTO_CLOSE int fd = open_file(vm_fd, name, &absent, e);
    if (fd < 0 && !absent)
        return -1;
    if (fd < 0 && doc)
        return err_set(e, ERR_FAILED, "%s is missing; the saved state belongs to it", name);
    if (fd < 0)
        return 0;
    if (!doc)
        return err_set(e, ERR_FAILED, "%s was added after the state was saved", name);
    int hold = facts_from_json(doc, &was) ? facts_hold(fd, &was, strict) : 0;
    if (hold < 0)
        return err_sys(e, "cannot read %s", name);
    return hold ? 0 : err_set(e, ERR_FAILED, "%s was changed after the state was saved", name);
}

int saved_check_files(const struct vm *vm, const json_t *manifest, enum saved_kind kind,
                      struct err *e)
{
    const char *files[FILES];
    name_files(vm, files);
    bool strict = kind == SAVED_RETIRED;
    char boot[64];
    os_boot_id(boot, sizeof boot);
    // A write whose time did not reach the disk before a power cut cannot be told from none.
    bool same_boot = strcmp(boot, json_string_value(json_object_get(manifest, "boot"))) == 0 &&
                     strcmp(boot, OS_BOOT_UNKNOWN) != 0;
    if (strict && !same_boot)
        return err_set(e, ERR_FAILED, "this host was restarted since");
    json_t *was = json_object_get(manifest, "files");
    const char *name;
    json_t *facts;
    json_object_foreach(was, name, facts) {
        if (strchr(name, '/'))
            return err_set(e, ERR_FAILED, "the saved state's manifest is damaged: files");
        if (check_file(vm->fd, name, facts, strict, e) < 0)
            return -1;
    }
    for (int i = 0; i < FILES; i++)
        if (check_file(vm->fd, files[i], json_object_get(was, files[i]), strict, e) < 0)
            return -1;
    return 0;
}
