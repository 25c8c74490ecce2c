// Disk images, recognised by their first bytes: raw and qcow2.
#include "vm/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/os.h"
#include "base/spawn.h"
#include "vm/layers.h"
#include "vm/store.h"

enum { SECTOR = 512 };

// Other programs' formats: taken for raw they would only fail to boot, without a word.
static const struct {
    size_t at;
    const char *magic;
    const char *name;
} foreign[] = {
    {0, "KDMV", "VMDK"},     {0, "# Disk DescriptorFile", "VMDK"}, {0, "conectix", "VHD"},
    {0, "vhdxfile", "VHDX"}, {64, "\x7f\x10\xda\xbe", "VDI"},      {0, "QED", "QED"},
};

static int probe(int fd, struct disk_info *out, struct err *e)
{
    uint8_t head[QCOW2_HEAD] = {0};
    struct stat st;
    ssize_t n = pread(fd, head, sizeof head, 0);
    *out = (struct disk_info){.format = "raw"};
    if (n < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "cannot read it");
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return err_set(e, ERR_FAILED, S_ISREG(st.st_mode) ? "it is empty" : "it is not a file");
    if (n >= QCOW2_HEAD_MIN && memcmp(head, "QFI\xfb", 4) == 0) {
        out->format = "qcow2";
        return qcow2_read(head, &out->size, &out->link, e);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (memcmp(head + foreign[i].at, foreign[i].magic, strlen(foreign[i].magic)) == 0)
            return err_set(e, ERR_FAILED, "a %s image: `qemu-img convert -O qcow2` makes it usable",
                           foreign[i].name);
    out->size = (uint64_t)st.st_size;
    return 0;
}

static int probe_at(int dirfd, const char *name, struct disk_info *out, struct err *e)
{
    AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_sys(e, "cannot open %s", name);
    return probe(fd, out, e) < 0 ? err_wrap(e, "%s", name) : 0;
}

static int refuse_link(const struct disk_info *info, struct err *e)
{
    return *info->link.parent ? qcow2_has_backing(e) : 0;
}

int disk_probe(int fd, struct disk_info *out, struct err *e)
{
    return probe(fd, out, e) < 0 ? -1 : refuse_link(out, e);
}

int disk_probe_at(int dirfd, const char *name, struct disk_info *out, struct err *e)
{
    if (probe_at(dirfd, name, out, e) < 0)
        return -1;
    return refuse_link(out, e) < 0 ? err_wrap(e, "%s", name) : 0;
}

int disk_probe_own(int dirfd, struct disk_info *out, struct err *e)
{
    return probe_at(dirfd, VM_DISK, out, e);
}

static uint64_t whole_sectors(uint64_t size)
{
    return (size + SECTOR - 1) / SECTOR * SECTOR;
}

int disk_make(int dirfd, const char *name, uint64_t size, struct err *e)
{
    AUTO_CLOSE int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)whole_sectors(size)) < 0)
        return err_sys(e, "cannot make %s", name);
    return 0;
}

int disk_make_linked(int dirfd, uint64_t size, const struct disk_link *link, struct err *e)
{
    AUTO_CLOSE int fd = openat(dirfd, VM_DISK, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(e, "cannot make %s", VM_DISK);
    return qcow2_write(fd, whole_sectors(size), link, e) < 0 ? err_wrap(e, "%s", VM_DISK) : 0;
}

int disk_make_unnamed(int dirfd, uint64_t size, struct err *e)
{
    AUTO_CLOSE int fd = file_unnamed(dirfd, e);
    if (fd < 0 || qcow2_write(fd, whole_sectors(size), NULL, e) < 0)
        return err_wrap(e, "cannot make a disk for the time being");
    return TAKE_FD(fd);
}

static int run_qemu_img(int dirfd, char *const *argv, const struct layers *keep, struct err *e)
{
    int fds[LAYERS_MAX];
    int n = 0;
    char said[512];
    for (int i = 0; keep && i < keep->count; i++)
        fds[n++] = keep->of[i].fd;
    const struct spawn s = {.argv = argv, .keep = fds, .keep_count = n, .cwd_fd = dirfd};
    return spawn_run(&s, said, sizeof said, e);
}

static int grow_qcow2(int dirfd, const char *name, uint64_t size, struct err *e)
{
    struct argv a = {0};
    argv_add(&a, "qemu-img");
    argv_add(&a, "resize");
    argv_add(&a, "-q");
    argv_add(&a, "-f");
    argv_add(&a, "qcow2");
    argv_add(&a, "--");
    argv_add(&a, "./%s", name);
    argv_add(&a, "%llu", (unsigned long long)size);
    int result = run_qemu_img(dirfd, a.v, NULL, e);
    argv_free(&a);
    return result;
}

int disk_make_whole(int dirfd, const char *name, const char *format, const struct layers *from,
                    struct err *e)
{
    json_t *node = layers_node(from, 0);
    AUTO_FREE char *source = json_dumps(node, JSON_COMPACT);
    json_decref(node);
    const char *const fixed[] = {"qemu-img", "convert", "-q", "-O", format, "--"};
    struct argv a = {0};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        argv_add(&a, "%s", fixed[i]);
    argv_add(&a, "json:%s", source);
    argv_add(&a, "%s", name);
    int result = run_qemu_img(dirfd, a.v, from, e);
    argv_free(&a);
    return result < 0 ? err_wrap(e, "cannot make %s whole", name) : 0;
}

int disk_grow(int dirfd, const char *name, uint64_t size, struct err *e)
{
    struct disk_info now;
    if (probe_at(dirfd, name, &now, e) < 0)
        return -1;
    size = whole_sectors(size);
    if (size < now.size)
        return err_set(e, ERR_USAGE, "%s has %llu bytes already: a disk can only grow", name,
                       (unsigned long long)now.size);
    if (size == now.size)
        return 0;
    if (strcmp(now.format, "qcow2") == 0)
        return grow_qcow2(dirfd, name, size, e) < 0 ? err_wrap(e, "cannot resize %s", name) : 0;
    AUTO_CLOSE int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return err_sys(e, "cannot resize %s", name);
    return 0;
}
