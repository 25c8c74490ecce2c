// Fuzzes the manifest of a saved state: refused, or safe to go by.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "place.h"
#include "vm/saved.h"
#include "vm/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void go_by(int vm_fd, const json_t *manifest)
{
    struct vm vm = {.fd = vm_fd};
    struct vm_config *c = &vm.config;
    struct err e;
    AUTO_FREE char *warning = NULL;
    config_init(c, "a");
    if (saved_complete_config(manifest, c, &warning, &e) == 0 &&
        (c->memory_size < 16 << 20 || c->cpus == 0 || (c->kernel && strchr(c->kernel, '/'))))
        abort();
    saved_check_files(&vm, manifest, SAVED_READY, &e);
    saved_check_files(&vm, manifest, SAVED_RETIRED, &e);
    config_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    char path[PLACE_PATH];
    place_make(path);
    AUTO_CLOSE int vm = dir_open(AT_FDCWD, path, &e);
    if (vm < 0 || mkdirat(vm, VM_SAVED, 0700) < 0)
        abort();
    AUTO_CLOSE int saved = dir_open(vm, VM_SAVED, &e);
    if (file_write_atomic(saved, "manifest.json", data, size, false, &e) < 0 ||
        file_write_atomic(vm, VM_DISK, "disk", 4, false, &e) < 0)
        abort();
    json_t *manifest = saved_manifest(vm, SAVED_READY, &e);
    if (manifest)
        go_by(vm, manifest);
    json_decref(manifest);
    if (tree_remove(AT_FDCWD, path, &e) < 0)
        abort();
    return 0;
}
