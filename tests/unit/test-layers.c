// Linked disks: images that QEMU's own tools find in order, and the way down to the disk that is
// whole.
#include "vm/layers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/os.h"
#include "tempstore.h"
#include "vm/disk.h"

enum { MIB = 1 << 20 };

// The output of a shell command that must succeed; the caller frees.
static char *shell(const char *dir, const char *command)
{
    AUTO_FREE char *line = xasprintf("cd '%s' && %s 2>&1", dir, command);
    FILE *out = popen(line, "r");
    char *text = xcalloc(1, 16 << 10);
    size_t n = fread(text, 1, (16 << 10) - 1, out);
    text[n] = 0;
    if (pclose(out) != 0)
        fail_msg("%s: %s", command, text);
    return text;
}

static int make_vm(const struct tempstore *f, const char *id, const char *format)
{
    struct err e;
    AUTO_FREE char *config = xasprintf("{\"diskFormat\": \"%s\"}", format);
    assert_int_equal(mkdirat(f->store.fd, id, 0700), 0);
    int fd = dir_open(f->store.fd, id, &e);
    assert_int_equal(file_write_atomic(fd, VM_CONFIG, config, strlen(config), false, &e), 0);
    return fd;
}

static void stamp_of(int vm_fd, struct facts *out)
{
    AUTO_CLOSE int fd = openat(vm_fd, VM_DISK, O_RDONLY);
    assert_int_equal(facts_of(fd, out), 0);
}

static void link_to(const struct tempstore *f, const char *id, const char *parent,
                    const char *format)
{
    struct err e;
    struct disk_link link = {.format = format};
    AUTO_CLOSE int parent_fd = dir_open(f->store.fd, parent, &e);
    AUTO_CLOSE int fd = make_vm(f, id, "qcow2");
    snprintf(link.parent, sizeof link.parent, "%s", parent);
    stamp_of(parent_fd, &link.stamp);
    assert_int_equal(disk_make_linked(fd, 5 * MIB, &link, &e), 0);
}

static void make_base(const struct tempstore *f)
{
    struct err e;
    AUTO_CLOSE int fd = make_vm(f, "base", "raw");
    assert_int_equal(disk_make(fd, VM_DISK, 5 * MIB, &e), 0);
    AUTO_CLOSE int disk = openat(fd, VM_DISK, O_WRONLY);
    assert_int_equal(pwrite(disk, "content", 7, MIB), 7);
}

static int open_linked(const struct tempstore *f, const char *id, struct layers *out, struct err *e)
{
    struct disk_info info;
    AUTO_CLOSE int fd = dir_open(f->store.fd, id, e);
    assert_int_equal(disk_probe_own(fd, &info, e), 0);
    return layers_open(&f->store, info.link.parent, &info.link.stamp, out, e);
}

static void a_blank_image_is_in_order(void **state)
{
    static const uint64_t sizes[] = {512, MIB, (512ULL << 20) + 512, 72ULL << 30, 16ULL << 40};
    const struct tempstore *f = *state;
    struct err e;
    char path[64];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct disk_info info;
        struct stat st;
        AUTO_CLOSE int fd = disk_make_unnamed(f->dir->fd, sizes[i], &e);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_nlink, 0);
        assert_true(st.st_blocks * 512 <= 64 << 10);
        assert_int_equal(disk_probe(fd, &info, &e), 0);
        assert_string_equal(info.format, "qcow2");
        assert_int_equal(info.size, sizes[i]);
        os_fd_path(fd, path, sizeof path);
        AUTO_FREE char *command = xasprintf("qemu-img check -f qcow2 /proc/%d/fd/%d", getpid(), fd);
        AUTO_FREE char *said = shell(f->dir->path, command);
        assert_non_null(strstr(said, "No errors"));
    }
}

static void a_linked_image_reads_as_its_parent(void **state)
{
    const struct tempstore *f = *state;
    make_base(f);
    link_to(f, "child", "base", "raw");
    link_to(f, "grandchild", "child", "qcow2");
    AUTO_FREE char *check = shell(f->store.path, "qemu-img check -q grandchild/Disk.img");
    AUTO_FREE char *compare =
        shell(f->store.path, "qemu-img compare -f qcow2 -F raw grandchild/Disk.img base/Disk.img");
    assert_non_null(strstr(compare, "identical"));
    AUTO_FREE char *info = shell(f->store.path, "qemu-img info child/Disk.img");
    assert_non_null(strstr(info, "backing file: ../base/Disk.img"));
    assert_non_null(strstr(info, "backing file format: raw"));
}

// QEMU's tools rewrite the header, put a table of names into it, and keep what they do not know.
static void the_link_outlives_a_rewrite_of_the_header(void **state)
{
    const struct tempstore *f = *state;
    struct layers layers;
    struct err e;
    make_base(f);
    link_to(f, "child", "base", "raw");
    free(shell(f->store.path, "qemu-io -f qcow2 -c 'write 0 2M' child/Disk.img"));
    free(shell(f->store.path, "mv base other"));
    free(shell(f->store.path, "qemu-img rebase -u -F raw -b ../other/Disk.img child/Disk.img"));
    assert_int_equal(open_linked(f, "child", &layers, &e), 0);
    assert_string_equal(layers.of[0].id, "other");
    layers_close(&layers);
}

static void layers_are_opened_to_the_end_and_locked(void **state)
{
    const struct tempstore *f = *state;
    struct layers layers;
    struct vm vm;
    struct err e;
    make_base(f);
    link_to(f, "child", "base", "raw");
    link_to(f, "grandchild", "child", "qcow2");
    assert_int_equal(open_linked(f, "grandchild", &layers, &e), 0);
    assert_int_equal(layers.count, 2);
    assert_string_equal(layers.of[0].id, "child");
    assert_string_equal(layers.of[0].format, "qcow2");
    assert_string_equal(layers.of[1].id, "base");
    assert_string_equal(layers.of[1].format, "raw");
    assert_int_equal(layers.of[1].size, 5 * MIB);
    assert_int_equal(fcntl(layers.of[1].fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(vm_open(&f->store, "base", LOCK_EXCLUSIVE, &vm, &e), -1);
    assert_int_equal(e.code, ERR_BUSY);
    layers_close(&layers);
    assert_int_equal(vm_open(&f->store, "base", LOCK_EXCLUSIVE, &vm, &e), 0);
    assert_int_equal(open_linked(f, "grandchild", &layers, &e), -1);
    assert_int_equal(e.code, ERR_BUSY);
    vm_close(&vm);
}

static void a_parent_that_changed_is_refused(void **state)
{
    const struct tempstore *f = *state;
    struct layers layers;
    struct err e;
    make_base(f);
    link_to(f, "child", "base", "raw");
    free(shell(f->store.path, "cp -r base copy && rm -r base && mv copy base"));
    assert_int_equal(open_linked(f, "child", &layers, &e), 0); // another file, the same content
    layers_close(&layers);
    free(shell(f->store.path, "touch base/Disk.img"));
    assert_int_equal(open_linked(f, "child", &layers, &e), 0); // again: still not the file it was
    layers_close(&layers);
    free(shell(f->store.path, "printf x | dd of=base/Disk.img conv=notrunc bs=1 status=none"));
    assert_int_equal(open_linked(f, "child", &layers, &e), -1);
    assert_non_null(strstr(e.msg, "changed"));
    free(shell(f->store.path, "rm -r base"));
    assert_int_equal(open_linked(f, "child", &layers, &e), -1);
    assert_non_null(strstr(e.msg, "no VM 'base'"));
}

static void a_ring_ends(void **state)
{
    const struct tempstore *f = *state;
    struct layers layers;
    struct err e;
    make_base(f);
    link_to(f, "a", "base", "raw");
    link_to(f, "b", "a", "qcow2");
    free(
        shell(f->store.path, "rm -r a base && mv b a && sed -i s,../a/Disk,../a/Disk, a/Disk.img"));
    assert_int_equal(layers_open(&f->store, "a", NULL, &layers, &e), -1);
    assert_int_equal(layers.count, 0);
}

// What a linked image names is a VM of the bundle, or it is no link.
static void other_backing_files_are_none_of_ours(void **state)
{
    static const char *const names[] = {"/etc/passwd",           "../../base/Disk.img",
                                        "../base/../x/Disk.img", "../.new-x/Disk.img",
                                        "base/Disk.img",         "../base/Kernel.img"};
    const struct tempstore *f = *state;
    struct disk_info info;
    struct err e;
    make_base(f);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        link_to(f, "child", "base", "raw");
        AUTO_CLOSE int fd = dir_open(f->store.fd, "child", &e);
        assert_int_equal(disk_probe_at(fd, VM_DISK, &info, &e), -1); // from outside, never
        AUTO_FREE char *command =
            xasprintf("qemu-img rebase -u -F raw -b '%s' child/Disk.img", names[i]);
        free(shell(f->store.path, command));
        assert_int_equal(disk_probe_own(fd, &info, &e), -1);
        assert_non_null(strstr(e.msg, "backing file"));
        free(shell(f->store.path, "rm -r child"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_blank_image_is_in_order, tempstore_make,
                                        tempstore_remove),
        cmocka_unit_test_setup_teardown(a_linked_image_reads_as_its_parent, tempstore_make,
                                        tempstore_remove),
        cmocka_unit_test_setup_teardown(the_link_outlives_a_rewrite_of_the_header, tempstore_make,
                                        tempstore_remove),
        cmocka_unit_test_setup_teardown(layers_are_opened_to_the_end_and_locked, tempstore_make,
                                        tempstore_remove),
        cmocka_unit_test_setup_teardown(a_parent_that_changed_is_refused, tempstore_make,
                                        tempstore_remove),
        cmocka_unit_test_setup_teardown(a_ring_ends, tempstore_make, tempstore_remove),
        cmocka_unit_test_setup_teardown(other_backing_files_are_none_of_ours, tempstore_make,
                                        tempstore_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
