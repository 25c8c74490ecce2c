// A saved state on its way through its life, ended at every step; and the files that belong to it.
#include "vm/saved.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "tempdir.h"
#include "vm/store.h"

enum { DISK_SIZE = 3 << 20 };

static void write_file(const struct tempdir *t, const char *name, const char *text)
{
    struct err e;
    assert_int_equal(file_write_atomic(t->fd, name, text, strlen(text), false, &e), 0);
}

static bool there(const struct tempdir *t, const char *name)
{
    return faccessat(t->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

// How many entries of the directory begin with this.
static int count(const struct tempdir *t, const char *prefix)
{
    int n = 0;
    DIR *dir = opendir(t->path);
    for (const struct dirent *entry; (entry = readdir(dir));)
        n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    closedir(dir);
    return n;
}

// A VM at rest.
static int make_vm(void **state)
{
    if (tempdir_make(state) < 0)
        return -1;
    const struct tempdir *t = *state;
    AUTO_CLOSE int disk = openat(t->fd, VM_DISK, O_WRONLY | O_CREAT, 0600);
    write_file(t, VM_KERNEL, "kernel");
    return ftruncate(disk, DISK_SIZE) < 0 || pwrite(disk, "boot", 4, 0) != 4 ? -1 : 0;
}

static json_t *new_manifest(const struct tempdir *t)
{
    struct err e;
    json_t *files = saved_file_facts(&(struct vm){.fd = t->fd}, &e);
    assert_non_null(files);
    return json_pack("{s:s, s:{s:s}, s:o, s:[], s:{s:i}}", "id", "a", "engine", "name", "qemu",
                     "files", files, "nics", "config", "memorySize", 64 << 20);
}

// Begins a state and gives it a file; the caller closes.
static int begin(const struct tempdir *t)
{
    struct err e;
    int dir = saved_begin(t->fd, &e);
    assert_true(dir >= 0);
    assert_int_equal(file_write_atomic(dir, "ram.img", "ram", 3, false, &e), 0);
    return dir;
}

static void publish(const struct tempdir *t, bool sync)
{
    struct err e;
    AUTO_CLOSE int dir = begin(t);
    json_t *manifest = new_manifest(t);
    assert_int_equal(saved_publish(t->fd, dir, manifest, sync, &e), 0);
    json_decref(manifest);
}

static void assert_holds(const struct tempdir *t, enum saved_kind kind)
{
    struct err e;
    AUTO_CLOSE int dir = saved_open(t->fd, kind, &e);
    assert_true(dir >= 0);
    AUTO_FREE char *ram = file_read(dir, "ram.img", 100, NULL, &e);
    assert_string_equal(ram, "ram");
    json_t *manifest = saved_manifest(t->fd, kind, &e);
    assert_non_null(manifest);
    assert_string_equal(json_string_value(json_object_get(manifest, "id")), "a");
    assert_int_equal(json_integer_value(json_object_get(manifest, "version")), 1);
    assert_int_equal(json_string_length(json_object_get(manifest, "saved")), 20);
    json_decref(manifest);
}

static void a_state_is_there_once_published(void **state)
{
    const struct tempdir *t = *state;
    assert_int_equal(saved_find(t->fd), SAVED_NONE);
    publish(t, true);
    assert_int_equal(saved_find(t->fd), SAVED_READY);
    assert_holds(t, SAVED_READY);
    assert_true(there(t, "SaveFile.vzvmsave/manifest.json"));
    assert_int_equal(count(t, ".SaveFile"), 0);
}

// What a process that dies while it saves leaves is no state, and in nobody's way.
static void a_save_cut_short_is_no_state(void **state)
{
    const struct tempdir *t = *state;
    struct err e;
    close(begin(t));
    assert_int_equal(saved_find(t->fd), SAVED_NONE);
    // The same, after the manifest was written.
    AUTO_CLOSE int dir = begin(t);
    assert_int_equal(file_write_atomic(dir, "manifest.json", "{}", 2, false, &e), 0);
    assert_int_equal(file_write_atomic(dir, "device.state", "x", 1, false, &e), 0);
    assert_int_equal(saved_find(t->fd), SAVED_NONE);
    publish(t, false);
    assert_int_equal(saved_find(t->fd), SAVED_READY);
    assert_holds(t, SAVED_READY);
    assert_false(there(t, "SaveFile.vzvmsave/device.state")); // of the attempt before
    assert_int_equal(count(t, ".SaveFile"), 0);
}

static void an_abandoned_save_leaves_nothing(void **state)
{
    const struct tempdir *t = *state;
    close(begin(t));
    saved_abandon(t->fd);
    saved_abandon(t->fd);
    assert_int_equal(saved_find(t->fd), SAVED_NONE);
    assert_int_equal(count(t, ".SaveFile"), 0);
}

static void an_older_state_is_not_overwritten(void **state)
{
    const struct tempdir *t = *state;
    struct err e;
    publish(t, false);
    AUTO_CLOSE int dir = begin(t);
    json_t *manifest = new_manifest(t);
    json_object_set_new(manifest, "id", json_string("b"));
    assert_int_equal(saved_publish(t->fd, dir, manifest, false, &e), -1);
    json_decref(manifest);
    assert_holds(t, SAVED_READY);
    saved_abandon(t->fd);
    assert_holds(t, SAVED_READY);
}

// retire → (the guest runs) → discard → sweep, with an end after each.
static void a_resumed_state_retires_first(void **state)
{
    const struct tempdir *t = *state;
    struct err e;
    publish(t, false);
    assert_int_equal(saved_retire(t->fd, &e), 0);
    assert_int_equal(saved_find(t->fd), SAVED_RETIRED);
    assert_holds(t, SAVED_RETIRED);
    assert_false(there(t, VM_SAVED));
    assert_int_equal(saved_discard(t->fd, &e), 0);
    assert_int_equal(saved_find(t->fd), SAVED_NONE);
    assert_int_equal(count(t, ".SaveFile"), 1); // its files go later
    saved_sweep(t->fd);
    assert_int_equal(count(t, ".SaveFile"), 0);
    assert_int_equal(saved_discard(t->fd, &e), 0);
    saved_sweep(t->fd);
}

static void a_retired_state_may_come_back(void **state)
{
    const struct tempdir *t = *state;
    struct err e = {0};
    publish(t, false);
    assert_int_equal(saved_retire(t->fd, &e), 0);
    assert_int_equal(saved_unretire(t->fd, &e), 0);
    assert_int_equal(saved_find(t->fd), SAVED_READY);
    assert_holds(t, SAVED_READY);
    assert_int_equal(saved_unretire(t->fd, &e), -1);
    assert_int_equal(e.code, ERR_FAILED);
    assert_holds(t, SAVED_READY);
}

static void retiring_replaces_an_older_one(void **state)
{
    const struct tempdir *t = *state;
    struct err e;
    publish(t, false);
    assert_int_equal(saved_retire(t->fd, &e), 0);
    assert_int_equal(mkdirat(t->fd, ".SaveFile.retired/old", 0700), 0);
    publish(t, false); // the run that follows is saved before the old one was discarded
    assert_int_equal(saved_find(t->fd), SAVED_READY);
    assert_int_equal(saved_retire(t->fd, &e), 0);
    assert_holds(t, SAVED_RETIRED);
    assert_false(there(t, ".SaveFile.retired/old"));
    assert_int_equal(saved_retire(t->fd, &e), -1); // there is none
}

static void discarding_takes_every_kind(void **state)
{
    const struct tempdir *t = *state;
    struct err e;
    publish(t, false);
    assert_int_equal(saved_discard(t->fd, &e), 0); // not swept: the process ended
    assert_int_equal(saved_find(t->fd), SAVED_NONE);
    publish(t, false);
    assert_int_equal(saved_retire(t->fd, &e), 0);
    publish(t, false);
    assert_int_equal(saved_discard(t->fd, &e), 0);
    assert_int_equal(saved_find(t->fd), SAVED_NONE);
    saved_sweep(t->fd);
    assert_int_equal(count(t, ".SaveFile"), 0);
}

// --- manifests ---

static void assert_damaged(const struct tempdir *t, const char *part)
{
    struct err e = {0};
    assert_null(saved_manifest(t->fd, SAVED_READY, &e));
    assert_int_equal(e.code, ERR_FAILED);
    if (!strstr(e.msg, part) || !strstr(e.msg, "saved state"))
        fail_msg("'%s' does not say '%s'", e.msg, part);
}

static void put_manifest(const struct tempdir *t, const char *text, size_t n)
{
    struct err e;
    AUTO_CLOSE int dir = saved_open(t->fd, SAVED_READY, &e);
    assert_int_equal(file_write_atomic(dir, "manifest.json", text, n, false, &e), 0);
}

static void put_document(const struct tempdir *t, const json_t *manifest)
{
    AUTO_FREE char *text = json_dumps(manifest, 0);
    put_manifest(t, text, strlen(text));
}

static void a_cut_manifest_is_damaged(void **state)
{
    const struct tempdir *t = *state;
    struct err e;
    size_t size;
    publish(t, false);
    AUTO_FREE char *whole = file_read(t->fd, "SaveFile.vzvmsave/manifest.json", 1 << 20, &size, &e);
    for (size_t n = 0; n < size - 1; n += 7) { // the last byte is a newline
        put_manifest(t, whole, n);
        assert_damaged(t, "manifest.json is damaged");
    }
    put_manifest(t, whole, size);
    assert_holds(t, SAVED_READY);
}

static void a_manifest_needs_its_parts(void **state)
{
    const struct tempdir *t = *state;
    static const char *const keys[] = {"version", "engine", "files", "nics", "config", "boot"};
    struct err e;
    publish(t, false);
    json_t *good = saved_manifest(t->fd, SAVED_READY, &e);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *bad = json_deep_copy(good);
        json_object_del(bad, keys[i]);
        put_document(t, bad);
        assert_damaged(t, "damaged");
        json_object_set_new(bad, keys[i], json_true());
        put_document(t, bad);
        assert_damaged(t, "damaged");
        json_object_set_new(bad, keys[i], json_null());
        put_document(t, bad);
        assert_damaged(t, "damaged");
        json_decref(bad);
    }
    put_document(t, good);
    assert_holds(t, SAVED_READY);
    AUTO_FREE char *text = json_dumps(good, 0);
    AUTO_FREE char *twice = xasprintf("{\"id\":\"b\",%s", text + 1);
    put_manifest(t, twice, strlen(twice));
    assert_damaged(t, "damaged");
    json_decref(good);
}

static void another_version_is_refused(void **state)
{
    const struct tempdir *t = *state;
    static const long long versions[] = {0, 2, -1, 4294967297};
    struct err e;
    publish(t, false);
    json_t *manifest = saved_manifest(t->fd, SAVED_READY, &e);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        json_object_set_new(manifest, "version", json_integer(versions[i]));
        put_document(t, manifest);
        assert_damaged(t, "version");
    }
    json_decref(manifest);
}

static void other_documents_are_damaged(void **state)
{
    const struct tempdir *t = *state;
    static const char *const bad[] = {
        "", "[]", "7", "null", "{", "{\"version\":1,\"version\":1}", "\xff"};
    publish(t, false);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_manifest(t, bad[i], strlen(bad[i]));
        assert_damaged(t, "damaged");
    }
    put_manifest(t, "{}\0{}", 5);
    assert_damaged(t, "damaged");
    AUTO_FREE char *huge = xcalloc(1, (1 << 20) + 1);
    memset(huge, ' ', (1 << 20) + 1);
    put_manifest(t, huge, (1 << 20) + 1);
    assert_damaged(t, "manifest.json");
}

static void a_state_of_another_making_is_refused(void **state)
{
    const struct tempdir *t = *state;
    assert_damaged(t, "SaveFile.vzvmsave"); // not there at all
    write_file(t, VM_SAVED, "a file, as Apple's is");
    assert_int_equal(saved_find(t->fd), SAVED_READY);
    assert_damaged(t, "SaveFile.vzvmsave");
    assert_int_equal(unlinkat(t->fd, VM_SAVED, 0), 0);
    assert_int_equal(mkdirat(t->fd, VM_SAVED, 0700), 0);
    assert_damaged(t, "manifest.json");
}

// --- the files beside it ---

static void assert_fits(const struct tempdir *t, const json_t *manifest, enum saved_kind kind)
{
    struct err e = {0};
    if (saved_check_files(&(struct vm){.fd = t->fd}, manifest, kind, &e) < 0)
        fail_msg("%s", e.msg);
}

static void assert_unfit(const struct tempdir *t, const json_t *manifest, enum saved_kind kind,
                         const char *file, const char *why)
{
    struct err e = {0};
    assert_int_equal(saved_check_files(&(struct vm){.fd = t->fd}, manifest, kind, &e), -1);
    assert_int_equal(e.code, ERR_FAILED);
    if (!strstr(e.msg, file) || !strstr(e.msg, why))
        fail_msg("'%s' does not say '%s' of %s", e.msg, why, file);
}

static json_t *published(const struct tempdir *t)
{
    struct err e;
    publish(t, false);
    json_t *manifest = saved_manifest(t->fd, SAVED_READY, &e);
    assert_non_null(manifest);
    return manifest;
}

// Writes into the disk and puts its time back.
static void write_disk(const struct tempdir *t, off_t at, const char *text, bool keep_time)
{
    struct stat st;
    AUTO_CLOSE int fd = openat(t->fd, VM_DISK, O_RDWR);
    fstat(fd, &st);
    assert_int_equal(pwrite(fd, text, strlen(text), at), strlen(text));
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    const struct timespec later[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(futimens(fd, keep_time ? times : later), 0);
}

// As `cp` leaves a file: the same content, another inode, another time.
static void copy_away_and_back(const struct tempdir *t, const char *name)
{
    struct err e;
    AUTO_CLOSE int from = openat(t->fd, name, O_RDONLY);
    AUTO_CLOSE int to = openat(t->fd, "copy", O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_int_equal(file_copy(from, to, NULL, NULL, NULL, &e), 0);
    const struct timespec later[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(futimens(to, later), 0);
    assert_int_equal(renameat(t->fd, "copy", t->fd, name), 0);
}

static void untouched_files_fit(void **state)
{
    const struct tempdir *t = *state;
    json_t *manifest = published(t);
    assert_fits(t, manifest, SAVED_READY);
    assert_fits(t, manifest, SAVED_RETIRED);
    json_decref(manifest);
}

// A copied directory has other times. A retired state there cannot be trusted.
static void a_copy_fits_unless_retired(void **state)
{
    const struct tempdir *t = *state;
    json_t *manifest = published(t);
    copy_away_and_back(t, VM_DISK);
    assert_fits(t, manifest, SAVED_READY);
    assert_unfit(t, manifest, SAVED_RETIRED, VM_DISK, "changed");
    json_decref(manifest);
}

// Whatever samples say: the file itself was written to.
static void another_time_is_a_change(void **state)
{
    const struct tempdir *t = *state;
    json_t *manifest = published(t);
    write_disk(t, 0, "boot", false);
    assert_unfit(t, manifest, SAVED_READY, VM_DISK, "changed");
    json_decref(manifest);
}

static void other_content_does_not_fit(void **state)
{
    const struct tempdir *t = *state;
    static const off_t places[] = {0, 65535, DISK_SIZE / 256 / 4096 * 4096 * 100, DISK_SIZE / 2};
    json_t *manifest = published(t);
    copy_away_and_back(t, VM_DISK);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        write_disk(t, places[i], "BOOT", true);
        assert_unfit(t, manifest, SAVED_READY, VM_DISK, "changed");
        AUTO_CLOSE int fd = openat(t->fd, VM_DISK, O_RDWR);
        assert_int_equal(pwrite(fd, i == 0 ? "boot" : "\0\0\0\0", 4, places[i]), 4);
        copy_away_and_back(t, VM_DISK);
        assert_fits(t, manifest, SAVED_READY);
    }
    json_decref(manifest);
}

static void another_size_does_not_fit(void **state)
{
    const struct tempdir *t = *state;
    struct stat st;
    json_t *manifest = published(t);
    AUTO_CLOSE int fd = openat(t->fd, VM_DISK, O_RDWR);
    fstat(fd, &st);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(ftruncate(fd, DISK_SIZE + 512), 0);
    assert_int_equal(futimens(fd, times), 0);
    assert_unfit(t, manifest, SAVED_READY, VM_DISK, "changed");
    json_decref(manifest);
}

static void files_must_neither_go_nor_come(void **state)
{
    const struct tempdir *t = *state;
    json_t *manifest = published(t);
    write_file(t, VM_INITRD, "initrd");
    assert_unfit(t, manifest, SAVED_READY, VM_INITRD, "added");
    assert_int_equal(unlinkat(t->fd, VM_INITRD, 0), 0);
    write_file(t, VM_AUX, "variables");
    assert_unfit(t, manifest, SAVED_READY, VM_AUX, "added");
    assert_int_equal(unlinkat(t->fd, VM_AUX, 0), 0);
    assert_fits(t, manifest, SAVED_READY);
    write_file(t, VM_KERNEL, "KERNEL");
    assert_unfit(t, manifest, SAVED_READY, VM_KERNEL, "changed");
    write_file(t, VM_KERNEL, "kernel");
    copy_away_and_back(t, VM_KERNEL);
    assert_fits(t, manifest, SAVED_READY);
    assert_int_equal(unlinkat(t->fd, VM_KERNEL, 0), 0);
    assert_unfit(t, manifest, SAVED_READY, VM_KERNEL, "missing");
    json_decref(manifest);
}

static void a_restarted_host_makes_a_retired_state_doubtful(void **state)
{
    const struct tempdir *t = *state;
    json_t *manifest = published(t);
    json_object_set_new(manifest, "boot", json_string("another"));
    assert_fits(t, manifest, SAVED_READY);
    assert_unfit(t, manifest, SAVED_RETIRED, "host", "restarted");
    json_decref(manifest);
}

static void odd_facts_do_not_fit(void **state)
{
    const struct tempdir *t = *state;
    static const char *const odd[] = {"7", "[]", "{}", "{\"size\":\"3145728\"}", "null"};
    json_t *manifest = published(t);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        json_object_set_new(json_object_get(manifest, "files"), VM_DISK,
                            json_loads(odd[i], JSON_DECODE_ANY, NULL));
        assert_unfit(t, manifest, SAVED_READY, VM_DISK, "after the state was saved");
    }
    json_decref(manifest);
}

// --- configuration ---

static int complete(const char *saved, const char *now, struct vm_config *c, char **warning,
                    struct err *e)
{
    AUTO_FREE char *ignored = NULL;
    *warning = NULL;
    assert_int_equal(config_parse(now, "a", c, &ignored, e), 0);
    json_t *config = json_loads(saved, 0, NULL);
    assert_non_null(config);
    json_t *manifest = json_pack("{s:o}", "config", config);
    int result = saved_complete_config(manifest, c, warning, e);
    json_decref(manifest);
    return result;
}

static void what_is_not_said_comes_from_the_state(void **state)
{
    (void)state;
    struct vm_config c;
    struct err e;
    AUTO_FREE char *warning = NULL;
    assert_int_equal(complete("{\"kernel\":\"Kernel\",\"cmdline\":\"quiet\",\"cpus\":3,"
                              "\"machine\":\"pc-q35-7.1\",\"mac\":\"52:cc:cc:cc:cc:99\","
                              "\"serverSocket\":\"/other\",\"memorySize\":67108864}",
                              "{\"cmdline\":\"debug\",\"memorySize\":67108864}", &c, &warning, &e),
                     0);
    assert_null(warning);
    assert_string_equal(c.kernel, "Kernel");
    assert_string_equal(c.cmdline, "debug"); // said: kept
    assert_string_equal(c.machine, "pc-q35-7.1");
    assert_int_equal(c.cpus, 3);
    assert_null(c.initrd);
    assert_int_equal(c.mac.octet[5], 1); // names and addresses are the VM's own
    assert_string_equal(c.server_socket, "/tmp/qemu-dgram.sock");
    config_free(&c);
}

static void memory_is_the_states(void **state)
{
    (void)state;
    struct vm_config c;
    struct err e;
    AUTO_FREE char *warning = NULL;
    assert_int_equal(
        complete("{\"memorySize\":67108864}", "{\"memorySize\":134217728}", &c, &warning, &e), 0);
    assert_int_equal(c.memory_size, 67108864);
    assert_non_null(strstr(warning, "134217728"));
    assert_non_null(strstr(warning, "67108864"));
    config_free(&c);
}

static void bad_values_of_the_state_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"kernel\":\"../../etc/passwd\"}",
        "{\"cpus\":0}",
        "{\"machine\":\"a,b\"}",
        "{\"engine\":[]}",
        "{\"memorySize\":-1}",
        "{\"memorySize\":1}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vm_config c;
        struct err e = {0};
        AUTO_FREE char *warning = NULL;
        if (complete(bad[i], "{}", &c, &warning, &e) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(e.msg, "saved state"));
        config_free(&c);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_vm, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_state_is_there_once_published),
        TEST(a_save_cut_short_is_no_state),
        TEST(an_abandoned_save_leaves_nothing),
        TEST(an_older_state_is_not_overwritten),
        TEST(a_resumed_state_retires_first),
        TEST(a_retired_state_may_come_back),
        TEST(retiring_replaces_an_older_one),
        TEST(discarding_takes_every_kind),
        TEST(a_cut_manifest_is_damaged),
        TEST(a_manifest_needs_its_parts),
        TEST(another_version_is_refused),
        TEST(other_documents_are_damaged),
        TEST(a_state_of_another_making_is_refused),
        TEST(untouched_files_fit),
        TEST(a_copy_fits_unless_retired),
        TEST(another_time_is_a_change),
        TEST(other_content_does_not_fit),
        TEST(another_size_does_not_fit),
        TEST(files_must_neither_go_nor_come),
        TEST(a_restarted_host_makes_a_retired_state_doubtful),
        TEST(odd_facts_do_not_fit),
        cmocka_unit_test(what_is_not_said_comes_from_the_state),
        cmocka_unit_test(memory_is_the_states),
        cmocka_unit_test(bad_values_of_the_state_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
