// From a VM's disk down to the one that is whole.
#include "vm/layers.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/os.h"
#include "vm/disk.h"

static int check_stamp(int fd, const struct facts *stamp, struct err *e)
{
    int hold = facts_hold(fd, stamp, false);
    if (hold < 0)
        return err_sys(e, "cannot read it");
    return hold ? 0 : err_set(e, ERR_FAILED, "it was changed after the link was made");
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
    return result < 0 ? err_wrap(e, "%s", VM_DISK) : 0;
}

static int explain_link(const char *parent, struct err *e)
{
    if (e->code == ERR_NO_VM) // the one that was asked for is there
        e->code = ERR_FAILED;
    return err_wrap(e, "its disk is linked to VM '%s'", parent);
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
            return stamp ? explain_link(id, e) : -1;
        }
        below = link;
    }
    return 0;
}

// QEMU's own locks would be in the way of one that is about to end: the VMs' hold the disks.
json_t *layers_node(const struct layers *l, int from)
{
    char path[64];
    json_t *below = json_null();
    for (int i = l->count; i-- > from;) {
        const struct layer *layer = &l->of[i];
        if (layer->fd < 0)
            continue;
        os_fd_path(layer->fd, path, sizeof path);
        json_t *node =
            json_pack("{s:s, s:b, s:{s:s, s:s, s:b, s:s}}", "driver", layer->format, "read-only", 1,
                      "file", "driver", "file", "filename", path, "read-only", 1, "locking", "off");
        if (strcmp(layer->format, "qcow2") == 0)
            json_object_set_new(node, "backing", below);
        below = node;
    }
    return below;
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
