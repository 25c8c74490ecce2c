// Whether the files beside a saved state are still what they were.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "vm/saved.h"
#include "vm/store.h"

// The first bytes (a file system's superblock, a kernel's header) and blocks spread evenly.
enum { SAMPLE_HEAD = 64 << 10, SAMPLE_BLOCK = 4096, SAMPLE_BLOCKS = 256 };

static int sample(int fd, off_t size, uint64_t *out)
{
    size_t room = SAMPLE_HEAD + (size_t)SAMPLE_BLOCK * SAMPLE_BLOCKS;
    AUTO_FREE char *bytes = xcalloc(1, room);
    ssize_t head = pread(fd, bytes, SAMPLE_HEAD, 0);
    if (head < 0)
        return -1;
    size_t n = (size_t)head;
    for (int i = 0; i < SAMPLE_BLOCKS && size > SAMPLE_HEAD; i++) {
        off_t at = size / SAMPLE_BLOCKS * i / SAMPLE_BLOCK * SAMPLE_BLOCK;
        ssize_t got = pread(fd, bytes + n, SAMPLE_BLOCK, at);
        if (got < 0)
            return -1;
        n += (size_t)got;
    }
    *out = hash_bytes(bytes, n);
    return 0;
}

static long long nanoseconds(const struct stat *st)
{
    struct timespec t = os_modified(st);
    return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

// {"size","inode","created" (ns),"mtime" (ns),"sample"} of one file; NULL with *absent where it
// does not exist.
static json_t *facts_of(int vm_fd, const char *name, bool *absent, struct err *e)
{
    AUTO_CLOSE int fd = openat(vm_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // maybe a FIFO
    struct stat st;
    uint64_t digest;
    *absent = fd < 0 && errno == ENOENT;
    if (*absent)
        return NULL;
    if (fd < 0 || fstat(fd, &st) < 0 || sample(fd, st.st_size, &digest) < 0) {
        err_sys(e, "cannot read %s", name);
        return NULL;
    }
    char text[20];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)digest);
    return json_pack("{s:I, s:I, s:I, s:I, s:s}", "size", (json_int_t)st.st_size, "inode",
                     (json_int_t)st.st_ino, "created", (json_int_t)os_created(fd), "mtime",
                     (json_int_t)nanoseconds(&st), "sample", text);
}

// The files that a guest runs from.
enum { FILES = 4 };
static void name_files(const struct vm *vm, const char *out[FILES])
{
    out[0] = VM_DISK;
    out[1] = VM_AUX;
    out[2] = vm->config.kernel ? vm->config.kernel : VM_KERNEL;
    out[3] = vm->config.initrd ? vm->config.initrd : VM_INITRD;
}

json_t *saved_file_facts(const struct vm *vm, struct err *e)
{
    const char *files[FILES];
    name_files(vm, files);
    json_t *all = json_object();
    for (int i = 0; i < FILES; i++) {
        bool absent;
        json_t *one = facts_of(vm->fd, files[i], &absent, e);
        if (!one && !absent) {
            json_decref(all);
            return NULL;
        }
        if (one)
            json_object_set_new(all, files[i], one);
    }
    return all;
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
    return json_equal(json_object_get(a, key), json_object_get(b, key));
}

static bool unchanged(const json_t *is, const json_t *was, bool strict)
{
    if (!same(is, was, "size"))
        return false;
    if (same(is, was, "mtime"))
        return true;
    bool same_file = same(is, was, "inode") && same(is, was, "created");
    return !strict && !same_file && same(is, was, "sample");
}

static int check_file(int vm_fd, const char *name, const json_t *was, bool strict, struct err *e)
{
    bool absent;
    json_t *is = facts_of(vm_fd, name, &absent, e);
    if (!is && !absent)
        return -1;
    int result = 0;
    if (absent && was)
        result = err_set(e, ERR_FAILED, "%s is missing; the saved state belongs to it", name);
    else if (is && !was)
        result = err_set(e, ERR_FAILED, "%s was added after the state was saved", name);
    else if (is && !unchanged(is, was, strict))
        result = err_set(e, ERR_FAILED, "%s was changed after the state was saved", name);
    json_decref(is);
    return result;
}

int saved_check_files(const struct vm *vm, const json_t *manifest, enum saved_kind kind,
                      struct err *e)
{
    const char *files[FILES];
    name_files(vm, files);
    bool strict = kind == SAVED_RETIRED;
    char boot[64];
    os_boot_id(boot, sizeof boot);
    // A write whose time did not reach the disk before a power cut cannot be told from none.
    bool same_boot = strcmp(boot, json_string_value(json_object_get(manifest, "boot"))) == 0 &&
                     strcmp(boot, OS_BOOT_UNKNOWN) != 0;
    if (strict && !same_boot)
        return err_set(e, ERR_FAILED, "this host was restarted since");
    json_t *was = json_object_get(manifest, "files");
    const char *name;
    json_t *facts;
    json_object_foreach(was, name, facts) {
        if (strchr(name, '/'))
            return err_set(e, ERR_FAILED, "the saved state's manifest is damaged: files");
        if (check_file(vm->fd, name, facts, strict, e) < 0)
            return -1;
    }
    for (int i = 0; i < FILES; i++)
        if (check_file(vm->fd, files[i], json_object_get(was, files[i]), strict, e) < 0)
            return -1;
    return 0;
}
