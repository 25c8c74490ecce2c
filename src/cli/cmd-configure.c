// `tailmac configure`: shows what a VM at rest is made of, and changes it.
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "cli/cli.h"
#include "cli/knobs.h"
#include "cli/progress.h"
#include "vm/children.h"
#include "vm/disk.h"
#include "vm/parts.h"

struct configure_args {
    const char *disk;
    const char *kernel;
    const char *initrd;
};

static const struct opt opts[] = {
    {"disk", OPT_TEXT, offsetof(struct configure_args, disk), "SIZE", "make the disk bigger", NULL,
     0},
    {"kernel", OPT_TEXT, offsetof(struct configure_args, kernel), "FILE",
     "replace the kernel by a copy of this one", NULL, 0},
    {"initrd", OPT_TEXT, offsetof(struct configure_args, initrd), "FILE",
     "replace the initial RAM disk", NULL, 0},
    {0},
};

// What a VM with a saved state may change: the state was made on the rest.
static bool is_free(const char *key)
{
    return choice_valid("mac|ethermac|serverSocket|port|sharedDir", key);
}

static int has_state(const struct vm *vm, const char *what, struct err *e)
{
    return err_set(e, ERR_BUSY,
                   "VM '%s' has a saved state, which needs %s as it is: `tailmac run %s "
                   "--discard-state` gives it up",
                   vm->id, what, vm->id);
}

static int check_saved(const struct vm *vm, const struct configure_args *args,
                       const struct vm_config *to, struct err *e)
{
    const char *key = NULL;
    json_t *value;
    if (!vm_has_file(vm, VM_SAVED))
        return 0;
    if (args->disk || args->kernel || args->initrd)
        return has_state(vm, args->disk ? "its disk" : "its kernel", e);
    json_t *before = config_to_file(&vm->config);
    json_t *after = config_to_file(to);
    json_t *both = json_copy(before);
    json_object_update_missing(both, after);
    json_object_foreach(both, key, value)
        if (!is_free(key) && !json_equal(json_object_get(before, key), json_object_get(after, key)))
            break; // leaves `key` set
    int result = key ? has_state(vm, key, e) : 0;
    json_decref(before);
    json_decref(after);
    json_decref(both);
    return result;
}

static int install(struct vm *vm, const char *key, const char *name, const char *source,
                   struct err *e)
{
    struct progress p = {.what = "copying"};
    if (!source)
        return 0;
    int result = part_install(vm->fd, name, source, progress_show, &p, e);
    progress_end(&p);
    return result < 0 ? -1 : config_set(&vm->config, key, name, e);
}

static int grow(struct vm *vm, const char *size, struct err *e)
{
    uint64_t bytes;
    if (!size)
        return 0;
    if (size_parse(size, &bytes, e) < 0)
        return err_wrap(e, "--disk");
    if (bytes < DISK_SIZE_MIN || bytes > DISK_SIZE_MAX)
        return err_set(e, ERR_USAGE, "--disk: '%s' is not from 1M to 16T", size);
    if (children_refuse(vm->store, vm->id, e) < 0)
        return -1;
    if (vm_has_file(vm, VM_DISK))
        return disk_grow(vm->fd, VM_DISK, bytes, e);
    return disk_make(vm->fd, VM_DISK, bytes, e) < 0
               ? -1
               : config_set(&vm->config, "diskFormat", "raw", e);
}

static int change(struct cli *cli, struct vm *vm, const struct configure_args *args, struct err *e)
{
    struct vm_config to;
    config_copy(&vm->config, vm->id, &to);
    if (knobs_apply(cli, &to, e) < 0 || check_saved(vm, args, &to, e) < 0) {
        config_free(&to);
        return -1;
    }
    config_free(&vm->config);
    vm->config = to;
    if (grow(vm, args->disk, e) < 0 || install(vm, "kernel", VM_KERNEL, args->kernel, e) < 0 ||
        install(vm, "initrd", VM_INITRD, args->initrd, e) < 0)
        return -1;
    return vm_write_config(vm, e);
}

static int run_configure(struct cli *cli, void *args_, struct err *e)
{
    const struct configure_args *args = args_;
    bool changes = knobs_given(cli) || args->disk || args->kernel || args->initrd;
    struct vm vm;
    if (vm_open(&cli->store, cli->id, changes ? LOCK_EXCLUSIVE : LOCK_NONE, &vm, e) < 0)
        return -1;
    interrupt_catch();
    int result = changes ? change(cli, &vm, args, e) : 0;
    if (result == 0)
        cli_print(cli, config_to_json(&vm.config), print_object);
    vm_close(&vm);
    return result;
}

const struct command cmd_configure = {
    .name = "configure",
    .summary = "Show what a VM is made of, or change it while it is idle",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct configure_args),
    .knobs = true,
    .run = run_configure,
};
