// The bundle: VMs found, locked, made whole or not at all, and removed at once.
#include "vm/store.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tempstore.h"
#include "vm/disk.h"
#include "vm/parts.h"
#include "vm/runtime.h"

static void put(int dirfd, const char *name, const char *text)
{
    struct err e;
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text), &e), 0);
    close(fd);
}

static bool there(int dirfd, const char *name)
{
    struct stat st;
    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void make_vm(const struct tempstore *f, const char *id, const char *config)
{
    struct err e;
    assert_int_equal(mkdirat(f->store.fd, id, 0700), 0);
    int fd = dir_open(f->store.fd, id, &e);
    put(fd, VM_CONFIG, config);
    close(fd);
}

// Opens a VM in another process, which holds it until the returned descriptor is closed.
static int hold(const struct tempstore *f, const char *id, enum lock_kind kind, pid_t *pid)
{
    int go[2];
    int ready[2];
    char byte;
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(ready), 0);
    *pid = fork();
    if (*pid == 0) {
        struct vm vm;
        struct err e;
        close(go[1]);
        bool ok = vm_open(&f->store, id, kind, &vm, &e) == 0 && write(ready[1], "", 1) == 1;
        _exit(ok && read(go[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(go[0]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return go[1];
}

static void let_go(int fd, pid_t pid)
{
    int status;
    close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void only_vms_are_listed(void **state)
{
    struct tempstore *f = *state;
    struct err e;
    make_vm(f, "b", "{}");
    make_vm(f, "a", "not JSON: shown all the same, with its error");
    make_vm(f, ".new-x-00000000", "{}");
    mkdirat(f->store.fd, "empty", 0700);
    put(f->store.fd, "file", "{}");
    mkdirat(f->store.fd, "strange", 0700);
    mkdirat(f->store.fd, "strange/config.json", 0700);
    char **ids = store_list(&f->store, &e);
    assert_string_equal(ids[0], "a");
    assert_string_equal(ids[1], "b");
    assert_null(ids[2]);
    store_list_free(ids);
}

static void opening_says_why_not(void **state)
{
    struct tempstore *f = *state;
    struct vm vm;
    struct err e;
    make_vm(f, "bad", "{\"port\":0}");
    make_vm(f, "good", "{}");
    mkdirat(f->store.fd, "empty", 0700);
    mkdirat(f->store.fd, "fifo", 0700);
    assert_int_equal(mkfifoat(f->store.fd, "fifo/config.json", 0600), 0);
    assert_int_equal(vm_open(&f->store, "none", LOCK_NONE, &vm, &e), -1);
    assert_int_equal(e.code, ERR_NO_VM);
    assert_int_equal(vm_open(&f->store, "empty", LOCK_EXCLUSIVE, &vm, &e), -1);
    assert_int_equal(e.code, ERR_NO_VM);
    assert_int_equal(vm_open(&f->store, "../x", LOCK_NONE, &vm, &e), -1);
    assert_int_equal(e.code, ERR_USAGE);
    assert_int_equal(vm_open(&f->store, "bad", LOCK_EXCLUSIVE, &vm, &e), -1);
    assert_int_equal(e.code, ERR_FAILED);
    assert_string_equal(e.msg, "VM 'bad': config.json: port: 0 is not a whole number from 1 to "
                               "4294967294");
    assert_int_equal(vm_open(&f->store, "fifo", LOCK_NONE, &vm, &e), -1);
    assert_int_equal(vm_open_unread(&f->store, "bad", LOCK_EXCLUSIVE, &vm, &e), 0);
    vm_close(&vm);
    vm_close(&vm);
    assert_int_equal(vm_open(&f->store, "good", LOCK_EXCLUSIVE, &vm, &e), 0);
    vm_close(&vm);
}

static void locks_exclude_and_say_so(void **state)
{
    struct tempstore *f = *state;
    struct vm vm;
    struct err e;
    pid_t pid;
    make_vm(f, "a", "{}");
    int other = hold(f, "a", LOCK_EXCLUSIVE, &pid);
    assert_int_equal(vm_open(&f->store, "a", LOCK_SHARED, &vm, &e), -1);
    assert_int_equal(e.code, ERR_BUSY);
    assert_string_equal(e.msg, "VM 'a' is running or being changed");
    assert_int_equal(vm_open(&f->store, "a", LOCK_NONE, &vm, &e), 0);
    vm_close(&vm);
    let_go(other, pid);
    other = hold(f, "a", LOCK_SHARED, &pid);
    assert_int_equal(vm_open(&f->store, "a", LOCK_EXCLUSIVE, &vm, &e), -1);
    assert_int_equal(e.code, ERR_BUSY);
    assert_non_null(strstr(e.msg, "being copied"));
    assert_int_equal(vm_open(&f->store, "a", LOCK_SHARED, &vm, &e), 0);
    vm_close(&vm);
    let_go(other, pid);
    assert_int_equal(vm_open(&f->store, "a", LOCK_EXCLUSIVE, &vm, &e), 0);
    vm_close(&vm);
}

static void the_directory_tells_what_the_file_leaves_out(void **state)
{
    struct tempstore *f = *state;
    struct vm vm;
    struct err e;
    make_vm(f, "a", "{}");
    put(f->store.fd, "a/Kernel", "k");
    put(f->store.fd, "a/Initrd", "i");
    put(f->store.fd, "a/Disk.img", "raw bytes");
    assert_int_equal(vm_open(&f->store, "a", LOCK_EXCLUSIVE, &vm, &e), 0);
    assert_string_equal(vm.config.kernel, "Kernel");
    assert_string_equal(vm.config.initrd, "Initrd");
    assert_string_equal(vm.config.disk_format, "raw");
    assert_false(config_has(&vm.config, "kernel"));
    assert_int_equal(vm_write_config(&vm, &e), 0);
    vm_close(&vm);
}

static void a_vm_appears_whole(void **state)
{
    struct tempstore *f = *state;
    struct new_vm draft;
    struct vm_config c;
    struct vm vm;
    struct err e;
    assert_int_equal(new_vm_begin(&f->store, "a", &draft, &e), 0);
    put(draft.fd, "Kernel", "k");
    char **ids = store_list(&f->store, &e);
    assert_null(ids[0]);
    store_list_free(ids);
    config_init(&c, "a");
    assert_int_equal(new_vm_publish(&draft, &c, true, &e), 0);
    new_vm_abandon(&draft);
    config_free(&c);
    assert_int_equal(vm_open(&f->store, "a", LOCK_EXCLUSIVE, &vm, &e), 0);
    assert_true(vm_has_file(&vm, "Kernel"));
    vm_close(&vm);
}

static void of_two_makers_one_wins(void **state)
{
    struct tempstore *f = *state;
    struct new_vm first;
    struct new_vm second;
    struct new_vm third;
    struct vm_config c;
    struct err e;
    assert_int_equal(new_vm_begin(&f->store, "a", &first, &e), 0);
    assert_int_equal(new_vm_begin(&f->store, "a", &second, &e), 0);
    config_init(&c, "a");
    assert_int_equal(new_vm_publish(&second, &c, true, &e), 0);
    assert_int_equal(new_vm_publish(&first, &c, true, &e), -1);
    assert_int_equal(e.code, ERR_EXISTS);
    new_vm_abandon(&first);
    new_vm_abandon(&first);
    new_vm_abandon(&second);
    assert_int_equal(new_vm_begin(&f->store, "a", &third, &e), -1);
    assert_int_equal(e.code, ERR_EXISTS);
    config_free(&c);
    assert_true(there(f->store.fd, "a/config.json"));
}

static void a_sweep_takes_only_what_nobody_holds(void **state)
{
    struct tempstore *f = *state;
    struct new_vm draft;
    struct err e;
    struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(new_vm_begin(&f->store, "held", &draft, &e), 0);
    mkdirat(f->store.fd, ".new-fresh-00000000", 0700); // its maker may be about to lock it
    mkdirat(f->store.fd, ".new-old-00000000", 0700);
    put(f->store.fd, ".new-old-00000000/Disk.img", "x");
    utimensat(f->store.fd, ".new-old-00000000", long_ago, 0);
    mkdirat(f->store.fd, ".gone-dead-00000000", 0700);
    put(f->store.fd, ".gone-dead-00000000/lock", "");
    mkdirat(f->store.fd, ".mine", 0700);
    store_sweep(&f->store);
    assert_true(there(f->store.fd, draft.name));
    assert_true(there(f->store.fd, ".new-fresh-00000000"));
    assert_false(there(f->store.fd, ".new-old-00000000"));
    assert_false(there(f->store.fd, ".gone-dead-00000000"));
    assert_true(there(f->store.fd, ".mine"));
    new_vm_abandon(&draft);
}

// A maker that is killed while it holds its draft leaves it to the next sweep.
static void a_killed_maker_leaves_nothing(void **state)
{
    struct tempstore *f = *state;
    pid_t pid = fork();
    if (pid == 0) {
        struct new_vm draft;
        struct err e;
        _exit(new_vm_begin(&f->store, "a", &draft, &e) < 0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    store_sweep(&f->store);
    int own = openat(f->store.fd, ".", O_RDONLY | O_DIRECTORY);
    DIR *dir = fdopendir(own);
    for (struct dirent *entry; (entry = readdir(dir));)
        assert_null(strstr(entry->d_name, "-a-"));
    closedir(dir);
}

static int bind_datagram(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(strlen(path) < sizeof at.sun_path);
    memcpy(at.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void a_live_socket_stays(void **state)
{
    struct tempstore *f = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/x.sock", f->dir->path);
    int fd = bind_datagram(path);
    socket_remove_dead(path);
    assert_true(there(AT_FDCWD, path));
    close(fd);
    socket_remove_dead(path);
    assert_false(there(AT_FDCWD, path));
    put(f->dir->fd, "x.sock", "a file");
    socket_remove_dead(path);
    assert_true(there(AT_FDCWD, path));
}

static void deleting_takes_the_vm_and_its_sockets_only(void **state)
{
    struct tempstore *f = *state;
    struct vm vm;
    struct err e;
    char *path;
    make_vm(f, "a", "{}");
    make_vm(f, "a.ctl", "{}");
    assert_int_equal(runtime_path(&f->store, "a", RUNTIME_CONTROL, &path, &e), 0);
    close(bind_datagram(path));
    char *other;
    assert_int_equal(runtime_path(&f->store, "a.ctl", RUNTIME_CONTROL, &other, &e), 0);
    close(bind_datagram(other));
    assert_int_equal(vm_open(&f->store, "a", LOCK_EXCLUSIVE, &vm, &e), 0);
    assert_int_equal(vm_delete(&vm, &e), 0);
    vm_close(&vm);
    assert_false(there(f->store.fd, "a"));
    assert_true(there(f->store.fd, "a.ctl"));
    assert_false(there(AT_FDCWD, path));
    assert_true(there(AT_FDCWD, other));
    free(path);
    free(other);
    assert_int_equal(vm_open(&f->store, "a", LOCK_NONE, &vm, &e), -1);
    assert_int_equal(e.code, ERR_NO_VM);
}

static void too_long_a_socket_path_says_so(void **state)
{
    struct tempstore *f = *state;
    struct err e;
    char *path;
    char id[65];
    memset(id, 'x', 64);
    id[64] = 0;
    assert_int_equal(runtime_path(&f->store, id, RUNTIME_CONSOLE, &path, &e), -1);
    assert_int_equal(e.code, ERR_FAILED);
    assert_non_null(strstr(e.msg, "103"));
}

static void bundles_have_run_time_directories_of_their_own(void **state)
{
    struct tempstore *f = *state;
    struct store other;
    struct store same;
    struct err e;
    struct stat st;
    char path[128];
    snprintf(path, sizeof path, "%s/second", f->dir->path);
    assert_int_equal(store_open(&other, path, &e), 0);
    snprintf(path, sizeof path, "%s/deep/../deep//bundle/", f->dir->path);
    assert_int_equal(store_open(&same, path, &e), 0);
    assert_string_equal(same.runtime, f->store.runtime);
    assert_string_not_equal(other.runtime, f->store.runtime);
    assert_int_equal(stat(other.runtime, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    store_close(&other);
    store_close(&same);
}

static void a_run_time_directory_that_is_a_link_is_refused(void **state)
{
    struct tempstore *f = *state;
    struct store other;
    struct err e;
    char path[128];
    snprintf(path, sizeof path, "%s/xdg", f->dir->path);
    mkdir(path, 0700);
    setenv("XDG_RUNTIME_DIR", path, 1);
    snprintf(path, sizeof path, "%s/xdg/tailmac", f->dir->path);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(store_open(&other, f->store.path, &e), -1);
    assert_non_null(strstr(e.msg, "run-time directory"));
}

static void qcow2_header(uint8_t h[static 512], uint8_t version, uint8_t backing, uint8_t data_file)
{
    memset(h, 0, 512);
    memcpy(h, "QFI\xfb", 4);
    h[7] = version;
    h[15] = backing;
    h[23] = 16;
    h[28] = 0x40; // bytes 24 to 31: size 0x40000000
    h[79] = data_file;
}

static void disks_are_recognised(void **state)
{
    struct tempstore *f = *state;
    struct disk_info disk;
    struct err e;
    uint8_t h[512];
    int fd = f->dir->fd;
    qcow2_header(h, 3, 0, 0);
    assert_int_equal(file_write_atomic(fd, "d", h, sizeof h, false, &e), 0);
    assert_int_equal(disk_probe_at(fd, "d", &disk, &e), 0);
    assert_string_equal(disk.format, "qcow2");
    assert_int_equal(disk.size, 1 << 30);
    qcow2_header(h, 2, 0, 4); // version 2 has no features: these bytes are something else
    assert_int_equal(file_write_atomic(fd, "d", h, sizeof h, false, &e), 0);
    assert_int_equal(disk_probe_at(fd, "d", &disk, &e), 0);
    qcow2_header(h, 3, 1, 0);
    assert_int_equal(file_write_atomic(fd, "d", h, sizeof h, false, &e), 0);
    assert_int_equal(disk_probe_at(fd, "d", &disk, &e), -1);
    assert_non_null(strstr(e.msg, "backing file"));
    qcow2_header(h, 3, 0, 4);
    assert_int_equal(file_write_atomic(fd, "d", h, sizeof h, false, &e), 0);
    assert_int_equal(disk_probe_at(fd, "d", &disk, &e), -1);
    assert_non_null(strstr(e.msg, "data file"));
    put(fd, "v", "KDMV and more");
    assert_int_equal(disk_probe_at(fd, "v", &disk, &e), -1);
    assert_non_null(strstr(e.msg, "VMDK"));
    put(fd, "e", "");
    assert_int_equal(disk_probe_at(fd, "e", &disk, &e), -1);
}

static void disks_grow_and_never_shrink(void **state)
{
    struct tempstore *f = *state;
    struct disk_info disk;
    struct err e;
    assert_int_equal(disk_make(f->dir->fd, "d", 1 << 20, &e), 0);
    assert_int_equal(disk_make(f->dir->fd, "d", 1 << 20, &e), -1);
    assert_int_equal(disk_grow(f->dir->fd, "d", (2 << 20) + 1, &e), 0);
    assert_int_equal(disk_probe_at(f->dir->fd, "d", &disk, &e), 0);
    assert_int_equal(disk.size, (2 << 20) + 512);
    assert_int_equal(disk_grow(f->dir->fd, "d", 1 << 20, &e), -1);
    assert_int_equal(e.code, ERR_USAGE);
}

static void a_copy_has_the_vm_without_its_runs(void **state)
{
    static const char *const gone[] = {"to/config.json", "to/lock",       "to/run.json",
                                       "to/host.log",    "to/host.log.1", "to/console.log",
                                       "to/engine.log",  "to/.temp"};
    struct tempstore *f = *state;
    struct err e;
    struct stat a;
    struct stat b;
    int dir = f->dir->fd;
    mkdirat(dir, "from", 0700);
    mkdirat(dir, "to", 0700);
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        char name[64];
        snprintf(name, sizeof name, "from/%s", gone[i] + 3);
        put(dir, name, "x");
    }
    put(dir, "from/host.logic", "kept");
    put(dir, "from/Disk.img", "disk");
    mkdirat(dir, "from/" VM_SAVED, 0700);
    put(dir, "from/" VM_SAVED "/ram.img", "ram");
    mkdirat(dir, "from/" VM_RETIRED, 0700);
    put(dir, "from/" VM_RETIRED "/ram.img", "ram");
    struct timespec then[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 2000, .tv_nsec = 7}};
    assert_int_equal(utimensat(dir, "from/Disk.img", then, 0), 0);
    int from = dir_open(dir, "from", &e);
    int to = dir_open(dir, "to", &e);
    assert_int_equal(parts_copy(from, to, NULL, NULL, NULL, &e), 0);
    close(from);
    close(to);
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        assert_false(there(dir, gone[i]));
    assert_true(there(dir, "to/host.logic"));
    assert_true(there(dir, "to/" VM_SAVED "/ram.img"));
    assert_true(there(dir, "to/" VM_RETIRED "/ram.img"));
    fstatat(dir, "from/Disk.img", &a, 0);
    fstatat(dir, "to/Disk.img", &b, 0);
    assert_int_equal(b.st_mtim.tv_sec, 2000);
    assert_int_equal(b.st_mtim.tv_nsec, 7);
    assert_int_equal(a.st_mode, b.st_mode);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempstore_make, tempstore_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_vms_are_listed),
        TEST(opening_says_why_not),
        TEST(locks_exclude_and_say_so),
        TEST(the_directory_tells_what_the_file_leaves_out),
        TEST(a_vm_appears_whole),
        TEST(of_two_makers_one_wins),
        TEST(a_sweep_takes_only_what_nobody_holds),
        TEST(a_killed_maker_leaves_nothing),
        TEST(a_live_socket_stays),
        TEST(deleting_takes_the_vm_and_its_sockets_only),
        TEST(too_long_a_socket_path_says_so),
        TEST(bundles_have_run_time_directories_of_their_own),
        TEST(a_run_time_directory_that_is_a_link_is_refused),
        TEST(disks_are_recognised),
        TEST(disks_grow_and_never_shrink),
        TEST(a_copy_has_the_vm_without_its_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
