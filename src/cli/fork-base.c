// A base for forks: its state is there, whole, and what the rest of its directory belongs to.
#include "cli/fork-base.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/pool.h"
#include "engine/engine.h"
#include "vm/saved.h"

enum {
    SEAL_MAX = 64 << 10,
    // What a fork costs beside the guest's memory that it changes: engine, Host, page tables.
    ENGINE_BYTES = 32 << 20,
    // Of its memory a guest that does little changes less than this part.
    CHANGED_PART = 8,
};

static json_t *seal_entry(int dirfd, const char *name)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, 0) < 0)
        return json_null();
    struct timespec t = os_modified(&st);
    return json_pack("[I, I, I, I, I]", (json_int_t)st.st_dev, (json_int_t)st.st_ino,
                     (json_int_t)st.st_size, (json_int_t)t.tv_sec, (json_int_t)t.tv_nsec);
}

// A text that is another when any file of the state is, as far as names and times tell. The caller
// frees.
static char *seal_of(int state)
{
    int own = openat(state, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSEDIR DIR *dir = own < 0 ? NULL : fdopendir(own);
    json_t *files = json_object();
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        json_object_set_new(files, entry->d_name, seal_entry(state, entry->d_name));
    char *text = json_dumps(files, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(files);
    return text;
}

// Reading all of a state takes longer than forking it: that it was done is remembered.
static int verify(const struct fork_base *b, struct err *e)
{
    const json_t *engine = json_object_get(b->manifest, "engine");
    const struct engine_ops *ops = engine_find(b->vm.config.engine, e);
    AUTO_CLOSE int runtime = ops ? dir_open(AT_FDCWD, b->vm.store->runtime, e) : -1;
    AUTO_CLOSE int state = runtime < 0 ? -1 : saved_open(b->vm.fd, SAVED_READY, e);
    if (state < 0)
        return -1;
    struct err ignored;
    AUTO_FREE char *seal = seal_of(state);
    AUTO_FREE char *name = xasprintf("%s%s", b->vm.id, RUNTIME_VERIFIED);
    AUTO_FREE char *known = file_read(runtime, name, SEAL_MAX, NULL, &ignored);
    if (known && strcmp(known, seal) == 0)
        return 0;
    if (ops->verify(state, engine, e) < 0)
        return -1;
    file_write_atomic(runtime, name, seal, strlen(seal), false, &ignored);
    return 0;
}

static int check(struct fork_base *b, struct err *e)
{
    if (saved_find(b->vm.fd) != SAVED_READY)
        return err_set(e, ERR_FAILED,
                       "it has no saved state: `tailmac run` it and `tailmac stop` it first");
    b->manifest = saved_manifest(b->vm.fd, SAVED_READY, e);
    if (!b->manifest || saved_check_files(&b->vm, b->manifest, SAVED_READY, e) < 0)
        return -1;
    if (!json_is_true(json_object_get(b->manifest, "agent")))
        return err_set(e, ERR_FAILED,
                       "its guest's agent, which gives forks their identity, did not answer when "
                       "it was saved");
    return verify(b, e);
}

int fork_base_open(const struct store *s, const char *id, struct fork_base *out, struct err *e)
{
    *out = (struct fork_base){.vm = {.fd = -1, .lock_fd = -1}};
    if (vm_open(s, id, LOCK_SHARED, &out->vm, e) < 0)
        return e->code == ERR_BUSY ? err_wrap(e, "only a VM at rest can be forked") : -1;
    if (check(out, e) == 0)
        return 0;
    fork_base_close(out);
    return -1;
}

void fork_base_close(struct fork_base *b)
{
    json_decref(b->manifest);
    vm_close(&b->vm);
    b->manifest = NULL;
}

static uint64_t room_of(const struct fork_base *b, bool whole)
{
    const json_t *memory = json_object_get(json_object_get(b->manifest, "engine"), "memory");
    uint64_t guest = (uint64_t)json_integer_value(memory);
    return ENGINE_BYTES + (whole ? guest : guest / CHANGED_PART);
}

// What its pool will need, which is filled again when forks are taken.
static uint64_t pool_room(const struct fork_base *b)
{
    json_t *pool = pool_status(b->vm.store, b->vm.id);
    uint64_t size = (uint64_t)json_integer_value(json_object_get(pool, "size"));
    bool whole = json_is_true(json_object_get(pool, "vsock"));
    json_decref(pool);
    return size * room_of(b, whole);
}

int fork_base_admit(const struct fork_base *b, int64_t count, bool whole, struct err *e)
{
    uint64_t each = room_of(b, whole);
    uint64_t all = each * (uint64_t)count + pool_room(b);
    uint64_t available = os_memory_available();
    if (available == 0 || all <= available)
        return 0;
    return err_set(e, ERR_HOST_CANNOT,
                   "%" PRId64 " forks need about %" PRIu64 " MiB each, %" PRIu64
                   " MiB with what is in its pool; this host has %" PRIu64
                   " MiB available (--overcommit makes them all the same)",
                   count, each >> 20, all >> 20, available >> 20);
}
