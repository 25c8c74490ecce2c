// The life of a QEMU process: started, spoken to, ended.
#include "engine/qemu/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"
#include "engine/qemu/firmware.h"
#include "engine/qemu/internal.h"
#include "proto/unix.h"
#include "vm/store.h"

enum { QUIT_SECONDS = 3, IMAGE_MS = 10000, IMAGE_STEP_MS = 5 };

struct op *op_new(struct engine *en, engine_done *done, void *arg)
{
    struct op *op = xcalloc(1, sizeof *op);
    *op = (struct op){.en = en, .done = done, .arg = arg};
    return op;
}

void op_end(struct op *op, const struct err *why)
{
    engine_done *done = op->done;
    void *arg = op->arg;
    free(op);
    if (done)
        done(arg, why);
}

void op_reply(void *op, const json_t *result, const struct err *why)
{
    (void)result;
    op_end(op, why);
}

json_t *qemu_describe(const struct engine *en)
{
    json_t *doc = json_pack("{s:s, s:s*, s:s, s:s, s:s, s:I, s:s, s:s, s:I}", "name", "qemu",
                            "version", en->version, "arch", en->machine.arch, "machine",
                            en->machine.type, "cpu", en->machine.cpu, "cpus", (json_int_t)en->cpus,
                            "firmware", en->firmware ? en->firmware : "none", "accelerator",
                            accel_name(en->accel.accel), "memory", (json_int_t)en->ram_size);
    if (en->vsock)
        json_object_set_new(doc, "vsock", json_true());
    return doc;
}

// --- events ---

static void tell(struct engine *en, enum engine_event what, const char *detail)
{
    en->callbacks.event(en->callbacks.arg, what, detail);
}

static const char *text_of(const json_t *data, const char *key)
{
    const char *text = json_string_value(json_object_get(data, key));
    return text ? text : "";
}

static void on_running(struct engine *en, const json_t *data)
{
    (void)data;
    en->running = true;
    tell(en, ENGINE_RUNNING, NULL);
}

static void on_paused(struct engine *en, const json_t *data)
{
    (void)data;
    en->running = false;
    tell(en, ENGINE_PAUSED, NULL);
}

static void on_io_error(struct engine *en, const json_t *data)
{
    if (strcmp(text_of(data, "action"), "stop") == 0)
        tell(en, ENGINE_IO_ERROR, text_of(data, "reason"));
}

static void on_panicked(struct engine *en, const json_t *data)
{
    (void)data;
    tell(en, ENGINE_PANICKED, NULL);
}

static void on_reset(struct engine *en, const json_t *data)
{
    if (json_is_true(json_object_get(data, "guest")))
        tell(en, ENGINE_RESET, NULL);
}

static void on_shutdown(struct engine *en, const json_t *data)
{
    bool reboot = strcmp(text_of(data, "reason"), "guest-reset") == 0;
    if (json_is_true(json_object_get(data, "guest")))
        tell(en, ENGINE_SHUTDOWN,
             reboot ? "the guest rebooted, which a fork without its kernel cannot"
                    : "the guest shut down");
}

static void on_device_deleted(struct engine *en, const json_t *data)
{
    const char *device = text_of(data, "device");
    if (unplug_deleted(en, device))
        return;
    nic_deleted(en, device);
    vsock_deleted(en, device);
}

static void on_migration(struct engine *en, const json_t *data)
{
    migration_event(en, text_of(data, "status"));
}

// QEMU's events, by the names of its QAPI schema (run-state.json, block-core.json, qdev.json,
// migration.json).
static const struct {
    const char *name;
    void (*handle)(struct engine *en, const json_t *data);
} events[] = {
    {"RESUME", on_running},
    {"STOP", on_paused},
    {"BLOCK_IO_ERROR", on_io_error},
    {"GUEST_PANICKED", on_panicked},
    {"RESET", on_reset},
    {"SHUTDOWN", on_shutdown},
    {"MIGRATION", on_migration},
    {"DEVICE_DELETED", on_device_deleted},
};

static void on_event(void *arg, const char *name, const json_t *data)
{
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (strcmp(events[i].name, name) == 0)
            events[i].handle(arg, data);
}

static void on_capabilities_set(void *arg, const json_t *result, const struct err *why)
{
    struct engine *en = arg;
    (void)result;
    if (why && en->starting)
        op_end(TAKE_PTR(en->starting), why);
}

static void on_ready(void *arg, const json_t *greeting)
{
    struct engine *en = arg;
    int major = 0;
    int minor = 0;
    int micro = 0;
    json_unpack((json_t *)greeting, "{s:{s:{s:i, s:i, s:i}}}", "version", "qemu", "major", &major,
                "minor", &minor, "micro", &micro);
    en->version = xasprintf("%d.%d.%d", major, minor, micro);
    qmp_call(en->qmp, "migrate-set-capabilities",
             json_pack("{s:[{s:s, s:b}, {s:s, s:b}]}", "capabilities", "capability",
                       "x-ignore-shared", "state", 1, "capability", "events", "state", 1),
             -1, on_capabilities_set, en);
    en->qmp_ready = true; // what follows need not wait for the answer
    qemu_load(en);
}

// --- the process ---

// Keeps the end of what QEMU wrote, as one line.
static void remember(struct engine *en, const char *text, size_t n)
{
    size_t have = strlen(en->last_words);
    if (n >= LAST_WORDS) {
        text += n - (LAST_WORDS - 1);
        n = LAST_WORDS - 1;
    }
    if (have + n >= LAST_WORDS) {
        size_t drop = have + n - (LAST_WORDS - 1);
        memmove(en->last_words, en->last_words + drop, have - drop + 1);
        have -= drop;
    }
    memcpy(en->last_words + have, text, n);
    en->last_words[have + n] = 0;
}

static void on_log(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct engine *en = arg;
    char text[4096];
    ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);
    if (n > 0) {
        remember(en, text, (size_t)n);
        en->callbacks.log(en->callbacks.arg, text, (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        event_del(en->log);
    }
}

static void describe_end(const struct engine *en, char *out, size_t n)
{
    int status = en->exit_status;
    char how[64];
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "QEMU was killed by signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof how, "QEMU ended with status %d", WEXITSTATUS(status));
    AUTO_FREE char *words = xstrdup(en->last_words);
    for (size_t end = strlen(words); end > 0 && strchr("\r\n ", words[end - 1]); end--)
        words[end - 1] = 0;
    const char *line = strrchr(words, '\n');
    line = line ? line + 1 : words;
    snprintf(out, n, "%s%s%s", how, *line ? ": " : "", line);
    text_clean(out);
}

void qemu_exited(struct engine *en)
{
    if (en->ram_loading || save_copying(en))
        return;
    char detail[LAST_WORDS + 80];
    describe_end(en, detail, sizeof detail);
    tell(en, ENGINE_EXITED, detail);
}

static void on_quit_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    const struct engine *en = arg;
    if (!en->exited)
        kill(en->pid, SIGKILL);
}

// SIGTERM makes QEMU write out its caches and end, whatever its monitor does. It has its time from
// the first time on: asking again is no reason to wait longer.
static void quit(struct engine *en)
{
    if (en->exited)
        return;
    kill(en->pid, SIGTERM);
    if (en->quit_timer)
        return;
    en->quit_timer = evtimer_new(en->base, on_quit_late, en);
    event_add(en->quit_timer, &(struct timeval){.tv_sec = QUIT_SECONDS});
}

// A QEMU that cannot be talked to, if it still is, cannot be left to itself.
static void on_lost(void *arg)
{
    quit(arg);
}

static void on_child(evutil_socket_t sig, short what, void *arg)
{
    (void)sig;
    (void)what;
    struct engine *en = arg;
    if (en->exited || waitpid(en->pid, &en->exit_status, WNOHANG) != en->pid)
        return;
    en->exited = true;
    event_del(en->child);
    on_log(en->log_fd, 0, en);
    struct err e = {.code = ERR_NOT_RUNNING};
    describe_end(en, e.msg, sizeof e.msg);
    qmp_fail(en->qmp); // first: a command that is open points to what the next lines free
    save_abort(en, &e);
    send_end(en, &e);
    unplug_abort(en, &e);
    replug_abort(en, &e);
    if (en->starting)
        op_end(TAKE_PTR(en->starting), &e);
    qmp_free(en->qmp);
    en->qmp = NULL;
    qemu_exited(en);
}

static int run_process(struct engine *en, const struct engine_spec *spec, struct err *e)
{
    int qmp[2];
    int log[2];
    if (unix_pair(qmp, e) < 0 || unix_pair(log, e) < 0)
        return -1;
    AUTO_CLOSE int qmp_child = qmp[1];
    AUTO_CLOSE int log_child = log[1];
    struct argv argv = {0};
    qemu_argv(en, spec, qmp_child, &argv);
    int keep[10 + 2 * LAYERS_MAX] = {qmp_child, spec->console_fd, spec->agent_fd, en->ram_fd,
                                     spec->lock_fd};
    int n = 5;
    for (int i = 0; i < en->nic_count; i++)
        if (en->nics[i].role == NIC_SOCKET)
            keep[n++] = en->nics[i].socket_fd;
    if (spec->vsock && spec->vsock_fd >= 0)
        keep[n++] = spec->vsock_fd;
    if (spec->overlay_fd >= 0)
        keep[n++] = spec->overlay_fd;
    if (spec->fork && spec->variables_fd >= 0)
        keep[n++] = spec->variables_fd;
    for (int i = 0; spec->layers && i < spec->layers->count; i++) {
        keep[n++] = spec->layers->of[i].lock_fd;
        if (spec->layers->of[i].fd >= 0)
            keep[n++] = spec->layers->of[i].fd;
    }
    en->pid = spawn(&(struct spawn){.argv = argv.v,
                                    .in = -1,
                                    .out = log_child,
                                    .err = log_child,
                                    .keep = keep,
                                    .keep_count = n,
                                    .cwd_fd = spec->dir_fd,
                                    .die_with_parent = true,
                                    .small_pages = spec->fork,
                                    .new_session = true},
                    e);
    argv_free(&argv);
    struct qmp_handlers handlers = {
        .ready = on_ready, .event = on_event, .lost = on_lost, .arg = en};
    en->qmp = qmp_new(en->base, qmp[0], &handlers);
    en->log_fd = log[0];
    en->log = event_new(en->base, log[0], EV_READ | EV_PERSIST, on_log, en);
    event_add(en->log, NULL);
    return en->pid < 0 ? -1 : 0;
}

static void engine_free(struct engine *en)
{
    qmp_free(en->qmp);
    if (en->child)
        event_free(en->child);
    if (en->quit_timer)
        event_free(en->quit_timer);
    if (en->log) {
        event_free(en->log);
        close(en->log_fd);
    }
    if (en->ram_fd >= 0)
        close(en->ram_fd);
    if (en->saved_dir >= 0)
        close(en->saved_dir);
    if (en->stream_fd >= 0)
        close(en->stream_fd);
    json_decref(en->saved);
    machine_free(&en->machine);
    free(en->version);
    free(en);
}

// Memory is handed out by the kernel only when touched: refuse now what could never be had.
static int check_memory(uint64_t size, struct err *e)
{
    uint64_t available = os_memory_available();
    if (available == 0 || size <= available)
        return 0;
    return err_set(e, ERR_HOST_CANNOT,
                   "the guest needs %llu MiB of memory, this host has %llu MiB available",
                   (unsigned long long)(size >> 20), (unsigned long long)(available >> 20));
}

static int check_boot_file(const struct engine_spec *spec, const char *name, struct err *e)
{
    if (!name || faccessat(spec->dir_fd, name, R_OK, 0) == 0)
        return 0;
    err_sys(e, "%s", name);
    e->code = ERR_HOST_CANNOT;
    return -1;
}

// A QEMU whose Host was killed lets go of the VM's lock before its images' locks: the kernel closes
// what is open last first, and frees the guest's memory in between.
static int wait_for_image(const struct engine_spec *spec, const char *name, struct err *e)
{
    int64_t deadline = clock_ms() + IMAGE_MS;
    while (lock_held(spec->dir_fd, name) != LOCK_NONE) {
        if (clock_ms() > deadline)
            return err_set(e, ERR_BUSY, "another program uses %s", name);
        poll(NULL, 0, IMAGE_STEP_MS);
    }
    return 0;
}

// What must be the same for device state to fit; the first difference is named.
static int check_saved(const struct engine *en, const json_t *saved, struct err *e)
{
    json_t *now = qemu_describe(en);
    static const char *const keys[] = {"name",     "arch",        "machine", "cpu",  "cpus",
                                       "firmware", "accelerator", "memory",  "vsock"};
    int result = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && result == 0; i++) {
        const json_t *was = json_object_get(saved, keys[i]);
        const json_t *is = json_object_get(now, keys[i]);
        if (was == is || json_equal(was, is))
            continue;
        AUTO_FREE char *was_text = json_dumps(was, JSON_ENCODE_ANY);
        AUTO_FREE char *is_text = json_dumps(is, JSON_ENCODE_ANY);
        result = err_set(e, ERR_FAILED, "the saved state has %s %s, this run %s", keys[i],
                         was_text ? was_text : "(none)", is_text ? is_text : "(none)");
    }
    json_decref(now);
    return result;
}

static int get_memory(struct engine *en, const struct engine_spec *spec, struct err *e)
{
    if (spec->saved) {
        bool stream = spec->saved->stream_fd >= 0;
        int fd = stream ? spec->saved->stream_fd : spec->saved->dir_fd;
        *(stream ? &en->stream_fd : &en->saved_dir) = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        en->saved = json_deep_copy(spec->saved->engine);
    }
    en->ram_private = spec->saved && spec->saved->private_ram;
    if (en->ram_private)
        return qemu_map_ram(en, e);
    if (check_memory(en->ram_size, e) < 0)
        return -1;
    en->ram_fd = os_memory_file("tailmac-ram", en->ram_size);
    return en->ram_fd < 0 ? err_sys(e, "cannot get memory for the guest") : 0;
}

static int prepare(struct engine *en, const struct engine_spec *spec, struct err *e)
{
    const struct vm_config *c = spec->config;
    en->ram_size = (c->memory_size + (1 << 20) - 1) >> 20 << 20;
    en->cpus = c->cpus;
    en->nic_count = spec->nic_count;
    en->vsock = spec->vsock;
    en->fork = spec->fork;
    en->vsock_plugged = spec->vsock && spec->vsock_fd >= 0;
    memcpy(en->nics, spec->nics, sizeof en->nics);
    if (machine_choose(c, spec->dir_fd, &en->machine, e) < 0 ||
        accel_choose(ACCEL_AUTO, c->arch, spec->runtime, &en->accel, e) < 0 ||
        firmware_prepare(c, spec->dir_fd, &en->firmware, e) < 0 ||
        check_boot_file(spec, c->kernel, e) < 0 || check_boot_file(spec, c->initrd, e) < 0)
        return -1;
    if (spec->saved && check_saved(en, spec->saved->engine, e) < 0)
        return -1;
    if ((spec->overlay_fd < 0 && wait_for_image(spec, VM_DISK, e) < 0) ||
        (!spec->fork && wait_for_image(spec, VM_AUX, e) < 0))
        return -1;
    return get_memory(en, spec, e);
}

static struct engine *start(struct event_base *base, const struct engine_spec *spec,
                            const struct engine_callbacks *callbacks, engine_done *done, void *arg,
                            struct err *e)
{
    struct engine *en = xcalloc(1, sizeof *en);
    *en = (struct engine){.base = base,
                          .callbacks = *callbacks,
                          .ram_fd = -1,
                          .saved_dir = -1,
                          .stream_fd = -1,
                          .log_fd = -1};
    if (prepare(en, spec, e) < 0 || run_process(en, spec, e) < 0) {
        engine_free(en);
        return NULL;
    }
    en->born = ticks_now();
    en->child = evsignal_new(base, SIGCHLD, on_child, en);
    event_add(en->child, NULL);
    event_active(en->child, EV_SIGNAL, 1); // it may have ended already
    en->starting = op_new(en, done, arg);
    en->ram_loaded = en->ram_loaded || en->stream_fd >= 0; // by the stream
    if (spec->saved && !en->ram_loaded && qemu_load_ram(en, &en->ram_error) < 0)
        en->ram_loading = false;
    return en;
}

// --- orders ---

static void on_nat_attached(void *arg, const struct err *why)
{
    struct op *op = arg;
    if (why) {
        op_end(op, why);
        return;
    }
    op->en->running = true;
    qmp_call(op->en->qmp, "cont", NULL, -1, op_reply, op);
}

bool qemu_ended(const struct engine *en, engine_done *done, void *arg)
{
    struct err e;
    if (en->qmp)
        return false;
    err_set(&e, ERR_NOT_RUNNING, "the engine has ended");
    if (done)
        done(arg, &e);
    return true;
}

static void resume(struct engine *en, engine_done *done, void *arg)
{
    if (!qemu_ended(en, done, arg))
        nat_attach(en, on_nat_attached, op_new(en, done, arg));
}

static void pause_guest(struct engine *en, engine_done *done, void *arg)
{
    if (qemu_ended(en, done, arg))
        return;
    en->running = false;
    qmp_call(en->qmp, "stop", NULL, -1, op_reply, op_new(en, done, arg));
}

static int engine_pid(const struct engine *en)
{
    return en->pid;
}

static int ssh_port(const struct engine *en)
{
    return en->ssh_port;
}

const struct engine_ops engine_qemu = {
    .name = "qemu",
    .start = start,
    .resume = resume,
    .pause = pause_guest,
    .verify = qemu_verify,
    .save = qemu_save,
    .send = qemu_send,
    .nic_link = nic_link,
    .nic_socket = nic_socket,
    .nic_replug = nic_replug,
    .vsock_plug = vsock_plug,
    .vsock_unplug = vsock_unplug,
    .quit = quit,
    .describe = qemu_describe,
    .pid = engine_pid,
    .ssh_port = ssh_port,
    .free = engine_free,
    .probe = qemu_probe,
};
