// Who is linked to a VM.
#include "vm/children.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "vm/disk.h"

// A raw disk may begin with whatever its guest likes, so its VM's configuration is asked, too. One
// that cannot be read may well be a child.
static bool is_linked(const struct store *s, const char *id, const char *parent)
{
    struct err ignored;
    struct disk_info info;
    struct vm vm;
    AUTO_CLOSE int fd = dir_open(s->fd, id, &ignored);
    if (fd < 0 || disk_probe_own(fd, &info, &ignored) < 0 || strcmp(info.link.parent, parent) != 0)
        return false;
    if (vm_open(s, id, LOCK_NONE, &vm, &ignored) < 0)
        return true;
    bool linked = vm.config.disk_format && strcmp(vm.config.disk_format, "qcow2") == 0;
    vm_close(&vm);
    return linked;
}

char **children_of(const struct store *s, const char *id)
{
    struct err ignored;
    char **ids = store_list(s, &ignored);
    size_t n = 0;
    for (char **at = ids; at && *at; at++)
        if (is_linked(s, *at, id))
            ids[n++] = *at;
        else
            free(*at);
    if (ids)
        ids[n] = NULL;
    return ids;
}

int children_refuse(const struct store *s, const char *id, struct err *e)
{
    char **children = children_of(s, id);
    AUTO_FREE char *names = children ? store_list_text(children) : NULL;
    store_list_free(children);
    if (!names)
        return 0;
    return err_set(e, ERR_BUSY, "VM '%s' has linked clones, which rest on its disk: %s", id, names);
}
