// State out and in: device state through QEMU's migration stream to a file, RAM by copying the
// memory file. Capability x-ignore-shared keeps RAM out of the stream.
//
// A save runs: NAT backends off (they would add a section of their own) → migrate to device.state →
// copy RAM and sync, in a thread → done. The guest is paused all the while and stays so.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/worker.h"
#include "engine/qemu/internal.h"

#define DEVICE_STATE "device.state"
#define RAM_FILE "ram.img"

enum { DEVICE_STATE_MAX = 256 << 20 };

struct save {
    struct engine *en;
    int dir_fd;
    bool sync;
    engine_saved_done *done;
    void *arg;
    uint64_t ram_digest;
    uint64_t state_digest;
    bool copying; // the thread runs: ENGINE_EXITED waits for it
    struct err aborted;
};

static json_t *hex(uint64_t n)
{
    AUTO_FREE char *text = xasprintf("%016llx", (unsigned long long)n);
    return json_string(text);
}

static json_t *saved_document(const struct save *s)
{
    json_t *doc = qemu_describe(s->en);
    json_object_set_new(doc, "tickKHz", json_integer(ticks_khz(s->en->born)));
    json_object_set_new(doc, "ramDigest", hex(s->ram_digest));
    json_object_set_new(doc, "stateDigest", hex(s->state_digest));
    return doc;
}

static void save_end(struct save *s, const struct err *why)
{
    engine_saved_done *done = s->done;
    void *arg = s->arg;
    json_t *doc = why ? NULL : saved_document(s);
    s->en->save = NULL;
    close(s->dir_fd);
    free(s);
    done(arg, doc, why);
}

bool save_copying(const struct engine *en)
{
    return en->save && en->save->copying;
}

void save_abort(struct engine *en, const struct err *why)
{
    if (en->save && en->save->copying)
        en->save->aborted = *why;
    else if (en->save)
        save_end(en->save, why);
}

static int digest_file(int dir_fd, const char *name, uint64_t *out, struct err *e)
{
    size_t n;
    AUTO_FREE char *data = file_read(dir_fd, name, DEVICE_STATE_MAX, &n, e);
    if (!data)
        return -1;
    *out = hash_bytes(data, n);
    return 0;
}

static int sync_file(int dir_fd, const char *name, struct err *e)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? err_sys(e, "cannot sync %s", name) : 0;
}

static int copy_ram_out(void *arg, struct err *e)
{
    struct save *s = arg;
    AUTO_CLOSE int ram = openat(s->dir_fd, RAM_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (ram < 0)
        return err_sys(e, "cannot create %s", RAM_FILE);
    if (file_copy_nonzero(s->en->ram_fd, ram, s->en->ram_size, s->sync, &s->ram_digest, e) < 0)
        return err_wrap(e, "%s", RAM_FILE);
    if (digest_file(s->dir_fd, DEVICE_STATE, &s->state_digest, e) < 0)
        return -1;
    return s->sync ? sync_file(s->dir_fd, DEVICE_STATE, e) : 0;
}

static void on_ram_out(void *arg, int result, struct err *e)
{
    struct save *s = arg;
    struct engine *en = s->en;
    s->copying = false;
    struct err aborted = s->aborted;
    save_end(s, aborted.code ? &aborted : result < 0 ? e : NULL);
    if (en->exited)
        qemu_exited(en);
}

static void state_is_out(struct save *s)
{
    struct err e;
    s->copying = true;
    if (worker_start(s->en->base, copy_ram_out, on_ram_out, s, &e) < 0) {
        s->copying = false;
        save_end(s, &e);
    }
}

static void on_migrate_error(void *arg, const json_t *result, const struct err *why)
{
    struct save *s = arg;
    struct err e;
    const char *desc = json_string_value(json_object_get(result, "error-desc"));
    err_set(&e, ERR_FAILED, "QEMU could not write the device state: %s",
            why    ? why->msg
            : desc ? desc
                   : "unknown error");
    save_end(s, &e);
}

static void on_migrate_sent(void *arg, const json_t *result, const struct err *why)
{
    (void)result;
    struct save *s = arg;
    if (why) {
        s->en->migrating = false;
        save_end(s, why);
    }
}

static void on_nat_detached(void *arg, const json_t *result, const struct err *why)
{
    (void)result;
    struct save *s = arg;
    struct engine *en = s->en;
    struct err e;
    if (why) {
        save_end(s, why);
        return;
    }
    AUTO_CLOSE int fd =
        openat(s->dir_fd, DEVICE_STATE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_sys(&e, "cannot create %s", DEVICE_STATE);
        save_end(s, &e);
        return;
    }
    en->migrating = true;
    ram_in_stream(en, false);
    qmp_call(en->qmp, "getfd", json_pack("{s:s}", "fdname", "state"), fd, NULL, NULL);
    qmp_call(en->qmp, "migrate", json_pack("{s:s}", "uri", "fd:state"), -1, on_migrate_sent, s);
}

void qemu_save(struct engine *en, int dir_fd, bool sync, engine_saved_done *done, void *arg)
{
    struct save *s = en->save = xcalloc(1, sizeof *s);
    *s = (struct save){.en = en,
                       .dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0),
                       .sync = sync,
                       .done = done,
                       .arg = arg};
    nat_detach(en, on_nat_detached, s);
}

static uint64_t saved_digest(const json_t *saved, const char *key)
{
    const char *text = json_string_value(json_object_get(saved, key));
    return text ? strtoull(text, NULL, 16) : 0;
}

static int open_ram(int dir_fd, uint64_t size, struct err *e)
{
    struct stat st;
    AUTO_CLOSE int ram = openat(dir_fd, RAM_FILE, O_RDONLY | O_CLOEXEC);
    if (ram < 0 || fstat(ram, &st) < 0)
        return err_sys(e, "the saved state's %s", RAM_FILE);
    if ((uint64_t)st.st_size != size)
        return err_set(e, ERR_FAILED, "the saved state's %s is damaged: its size is wrong",
                       RAM_FILE);
    return TAKE_FD(ram);
}

// Fills the new memory file (-1: none) and proves that what was written is what was saved.
static int read_state(int dir_fd, const json_t *saved, int to, uint64_t size, struct err *e)
{
    uint64_t digest;
    AUTO_CLOSE int ram = open_ram(dir_fd, size, e);
    if (ram < 0)
        return -1;
    if (file_copy_nonzero(ram, to, size, false, &digest, e) < 0)
        return err_wrap(e, "the saved state's %s", RAM_FILE);
    if (digest != saved_digest(saved, "ramDigest"))
        return err_set(e, ERR_FAILED, "the saved state's %s is damaged", RAM_FILE);
    if (digest_file(dir_fd, DEVICE_STATE, &digest, e) < 0)
        return err_wrap(e, "the saved state");
    if (digest != saved_digest(saved, "stateDigest"))
        return err_set(e, ERR_FAILED, "the saved state's %s is damaged", DEVICE_STATE);
    return 0;
}

static int copy_ram_in(void *arg, struct err *e)
{
    const struct engine *en = arg;
    return read_state(en->saved_dir, en->saved, en->ram_fd, en->ram_size, e);
}

int qemu_verify(int dir_fd, const json_t *saved, struct err *e)
{
    json_int_t size = json_integer_value(json_object_get(saved, "memory"));
    return read_state(dir_fd, saved, -1, (uint64_t)size, e);
}

static void on_ram_in(void *arg, int result, struct err *e)
{
    struct engine *en = arg;
    en->ram_loading = false;
    if (result < 0)
        en->ram_error = *e;
    else
        en->ram_loaded = true;
    if (en->exited)
        qemu_exited(en);
    else
        qemu_load(en);
}

// QEMU opens it once more, for writing; what it writes stays its own.
int qemu_map_ram(struct engine *en, struct err *e)
{
    en->ram_fd = open_ram(en->saved_dir, en->ram_size, e);
    en->ram_loaded = en->ram_fd >= 0;
    return en->ram_loaded ? 0 : -1;
}

int qemu_load_ram(struct engine *en, struct err *e)
{
    en->ram_loading = true;
    return worker_start(en->base, copy_ram_in, on_ram_in, en, e);
}

static void load_end(struct engine *en, const struct err *why)
{
    struct op *op = en->starting;
    en->starting = NULL;
    if (op)
        op_end(op, why);
}

static void on_port_known(void *arg, const struct err *why)
{
    load_end(arg, why);
}

static void on_load_step(void *arg, const json_t *result, const struct err *why)
{
    (void)result;
    if (why)
        load_end(arg, why);
}

// A guest whose clock would run at a wrong speed is not resumed. Half a percent is more than clocks
// are ever slewed by, and less than two kinds of CPU differ by.
static int check_ticks(const struct engine *en, struct err *e)
{
    int64_t was = json_integer_value(json_object_get(en->saved, "tickKHz"));
    int64_t is = ticks_khz(en->born);
    if (strcmp(en->machine.arch, "x86_64") != 0 || was == 0 || is == 0 ||
        (is > was - was / 200 && is < was + was / 200))
        return 0;
    return err_set(e, ERR_FAILED,
                   "the saved state is of a host whose time-stamp counter runs at %lld MHz, this "
                   "host's at %lld MHz",
                   (long long)(was / 1000), (long long)(is / 1000));
}

// Both halves are there: QEMU waits for the stream, the memory file is filled.
static void load_state(struct engine *en)
{
    struct err e;
    if (check_ticks(en, &e) < 0) {
        load_end(en, &e);
        return;
    }
    AUTO_CLOSE int fd = en->saved_dir < 0
                            ? TAKE_FD(en->stream_fd)
                            : openat(en->saved_dir, DEVICE_STATE, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_sys(&e, "cannot open %s", DEVICE_STATE);
        load_end(en, &e);
        return;
    }
    ram_in_stream(en, en->saved_dir < 0);
    // QEMU would announce restored NICs by RARP: frames that are not the guest's.
    qmp_call(en->qmp, "migrate-set-parameters", json_pack("{s:i}", "announce-rounds", 0), -1,
             on_load_step, en);
    en->migrating = true;
    qmp_call(en->qmp, "getfd", json_pack("{s:s}", "fdname", "state"), fd, NULL, NULL);
    qmp_call(en->qmp, "migrate-incoming", json_pack("{s:s}", "uri", "fd:state"), -1, on_load_step,
             en);
}

void qemu_load(struct engine *en)
{
    if (!en->starting || !en->qmp_ready)
        return;
    if (!en->saved)
        nat_ask_port(en, on_port_known, en);
    else if (en->ram_error.code)
        load_end(en, &en->ram_error);
    else if (en->ram_loaded)
        load_state(en);
}

void migration_event(struct engine *en, const char *status)
{
    bool completed = strcmp(status, "completed") == 0;
    if (!en->migrating || (!completed && strcmp(status, "failed") != 0))
        return;
    en->migrating = false;
    if (en->save && completed)
        state_is_out(en->save);
    else if (en->save)
        qmp_call(en->qmp, "query-migrate", NULL, -1, on_migrate_error, en->save);
    else if (en->sending)
        send_over(en, completed);
    else if (completed)
        nat_ask_port(en, on_port_known, en);
    // A load that failed ends QEMU; its last words say why.
}
