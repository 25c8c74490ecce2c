// Disk images, recognised by their first bytes: raw and qcow2 (QEMU's docs/interop/qcow2.txt).
#include "vm/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/os.h"
#include "base/spawn.h"

enum { HEADER = 512, SECTOR = 512 };

// Other programs' formats: taken for raw they would only fail to boot, without a word.
static const struct {
    size_t at;
    const char *magic;
    const char *name;
} foreign[] = {
    {0, "KDMV", "VMDK"},     {0, "# Disk DescriptorFile", "VMDK"}, {0, "conectix", "VHD"},
    {0, "vhdxfile", "VHDX"}, {64, "\x7f\x10\xda\xbe", "VDI"},      {0, "QED", "QED"},
};

static uint64_t big_endian(const uint8_t *p, int n)
{
    uint64_t value = 0;
    for (int i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

static int probe_qcow2(const uint8_t header[static HEADER], struct disk_info *out, struct err *e)
{
    uint64_t version = big_endian(header + 4, 4);
    uint64_t incompatible = version >= 3 ? big_endian(header + 72, 8) : 0;
    if (version != 2 && version != 3)
        return err_set(e, ERR_FAILED, "a qcow2 image of version %llu, which is not known",
                       (unsigned long long)version);
    if (big_endian(header + 8, 8) != 0)
        return err_set(e, ERR_FAILED,
                       "a qcow2 image with a backing file: `qemu-img convert` makes it whole");
    if (incompatible & 4)
        return err_set(e, ERR_FAILED,
                       "a qcow2 image with an external data file: `qemu-img convert` makes it "
                       "whole");
    if (big_endian(header + 32, 4) != 0)
        return err_set(e, ERR_FAILED, "an encrypted qcow2 image");
    *out = (struct disk_info){"qcow2", big_endian(header + 24, 8)};
    return 0;
}

int disk_probe(int fd, struct disk_info *out, struct err *e)
{
    uint8_t header[HEADER] = {0};
    struct stat st;
    ssize_t n = pread(fd, header, sizeof header, 0);
    if (n < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "cannot read it");
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return err_set(e, ERR_FAILED, S_ISREG(st.st_mode) ? "it is empty" : "it is not a file");
    if (n >= 104 && memcmp(header, "QFI\xfb", 4) == 0)
        return probe_qcow2(header, out, e);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (memcmp(header + foreign[i].at, foreign[i].magic, strlen(foreign[i].magic)) == 0)
            return err_set(e, ERR_FAILED, "a %s image: `qemu-img convert -O qcow2` makes it usable",
                           foreign[i].name);
    *out = (struct disk_info){"raw", (uint64_t)st.st_size};
    return 0;
}

int disk_probe_at(int dirfd, const char *name, struct disk_info *out, struct err *e)
{
    AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_sys(e, "cannot open %s", name);
    return disk_probe(fd, out, e) < 0 ? err_wrap(e, "%s", name) : 0;
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

// The last words of a program whose output went to `fd`.
static void last_line(int fd, char *out, size_t n)
{
    ssize_t got = pread(fd, out, n - 1, 0);
    out[got > 0 ? got : 0] = 0;
    for (size_t len = strlen(out); len > 0 && out[len - 1] == '\n';)
        out[--len] = 0;
    char *line = strrchr(out, '\n');
    if (line)
        memmove(out, line + 1, strlen(line + 1) + 1);
}

static int run_qemu_img(int dirfd, char *const *argv, struct err *e)
{
    char words[512];
    AUTO_CLOSE int log = os_memory_file("qemu-img", 0);
    pid_t pid = spawn(&(struct spawn){.argv = argv,
                                      .in = -1,
                                      .out = log,
                                      .err = log,
                                      .cwd_fd = dirfd,
                                      .die_with_parent = true},
                      e);
    if (pid < 0)
        return -1;
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(e, "cannot wait for %s", argv[0]);
    if (status == 0)
        return 0;
    last_line(log, words, sizeof words);
    return err_set(e, ERR_FAILED, "%s", *words ? words : "qemu-img failed");
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
    int result = run_qemu_img(dirfd, a.v, e);
    argv_free(&a);
    return result;
}

int disk_grow(int dirfd, const char *name, uint64_t size, struct err *e)
{
    struct disk_info now;
    if (disk_probe_at(dirfd, name, &now, e) < 0)
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
