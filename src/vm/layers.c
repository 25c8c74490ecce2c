// From a VM's disk down to the one that is whole.
#include "vm/layers.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "vm/disk.h"

static int check_stamp(int fd, const struct facts *stamp, struct err *e)
{
    int hold = facts_hold(fd, stamp, false);
    if (hold < 0)
        return err_sys(e, "cannot read it");
    return hold ? 0
                : err_set(e, ERR_FAILED,
                          "it was changed after the clone was linked to it, which no longer fits");
}

// What a raw disk begins with is the guest's business: its configuration says what it is.
static int measure(const struct vm *vm, struct layer *layer, struct disk_link *link, struct err *e)
{
    struct disk_info info;
    struct stat st;
    layer->format = "raw";
    if (strcmp(vm->config.disk_format, "raw") == 0) {
        if (fstat(layer->fd, &st) < 0)
            return err_sys(e, "cannot read it");
        layer->size = (uint64_t)st.st_size;
        return 0;
    }
    layer->format = "qcow2";
    if (disk_probe_own(vm->fd, &info, e) < 0)
        return -1;
    layer->size = info.size;
    *link = info.link;
    return 0;
}

static int open_disk(const struct vm *vm, const struct facts *stamp, struct layer *layer,
                     struct disk_link *link, struct err *e)
{
    if (!vm->config.disk_format && !stamp)
        return 0;
    layer->fd = openat(vm->fd, VM_DISK, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (layer->fd < 0 || !vm->config.disk_format)
        return err_sys(e, "cannot open it");
    return stamp && check_stamp(layer->fd, stamp, e) < 0 ? -1 : measure(vm, layer, link, e);
}

// Adds the disk of `id`; *link is to what is below it.
static int add_layer(const struct store *s, const char *id, const struct facts *stamp,
                     struct layers *out, struct disk_link *link, struct err *e)
{
    struct vm vm;
    if (out->count == LAYERS_MAX)
        return err_set(e, ERR_FAILED, "more than %d disks are linked to each other", LAYERS_MAX);
    if (vm_open(s, id, LOCK_SHARED, &vm, e) < 0)
        return -1;
    struct layer *layer = &out->of[out->count++];
    *layer = (struct layer){.id = xstrdup(id), .lock_fd = vm.lock_fd, .fd = -1};
    vm.lock_fd = -1;
    int result = open_disk(&vm, stamp, layer, link, e);
    vm_close(&vm);
    return result < 0 ? err_wrap(e, "the disk of VM '%s'", id) : 0;
}

int layers_open(const struct store *s, const char *id, const struct facts *stamp,
                struct layers *out, struct err *e)
{
    struct disk_link below = {0};
    struct disk_link link = {0};
    *out = (struct layers){0};
    for (; *id; id = below.parent, stamp = &below.stamp) {
        link = (struct disk_link){0};
        if (add_layer(s, id, stamp, out, &link, e) < 0) {
            layers_close(out);
            return -1;
        }
        below = link;
    }
    return 0;
}

void layers_close(struct layers *l)
{
    for (int i = 0; i < l->count; i++) {
        if (l->of[i].fd >= 0)
            close(l->of[i].fd);
        close(l->of[i].lock_fd);
        free(l->of[i].id);
    }
    *l = (struct layers){0};
}
