// The Host process: what engine, agent, signals and orders do to the one VM it owns.
#include "host/host.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "host/fork.h"
#include "host/reserve.h"
#include "host/run.h"
#include "proto/line.h"
#include "proto/unix.h"
#include "vm/children.h"
#include "vm/fork.h"
#include "vm/pool.h"

enum { DYING_MS = 3000, DYING_STEP_MS = 10 };

void host_note(struct host *h, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *text = xvasprintf(fmt, ap);
    va_end(ap);
    AUTO_FREE char *before = h->note;
    h->note = before ? xasprintf("%s; %s", before, text) : TAKE_PTR(text);
    log_line("%s", h->note);
}

void host_enter(struct host *h, enum state to, const char *reason)
{
    char *kept = xstrdup(reason); // which may be h->reason itself
    free(h->reason);
    h->reason = kept;
    h->state = to;
    log_line("state: %s%s%s", state_name(to), kept ? ": " : "", kept ? kept : "");
    server_event(h->control, json_pack("{s:s, s:s, s:s?}", "event", "state", "state",
                                       state_name(to), "reason", kept));
}

bool host_input(struct host *h, enum input in, const char *reason)
{
    enum state to;
    if (!state_next(h->state, in, &to))
        return false;
    if (to != h->state || reason)
        host_enter(h, to, reason);
    return true;
}

int host_order(struct host *h, enum input in, struct err *e)
{
    return host_input(h, in, NULL) ? 0 : state_refuse(h->state, in, e);
}

void host_end(struct host *h, const char *ended)
{
    h->ended = ended;
    if (h->engine)
        h->ops->quit(h->engine);
    else
        event_base_loopbreak(h->base);
}

// --- engine ---

static void on_shutdown(struct host *h, const char *how)
{
    if (host_input(h, IN_SHUTDOWN, how))
        h->ended = ENDED_SHUTDOWN;
}

static void on_exited(struct host *h, const char *detail)
{
    log_line("engine: %s", detail);
    if (h->state == ST_STOPPING) {
        host_input(h, IN_EXITED, h->reason);
    } else {
        h->ended = ENDED_FAILED;
        if (!h->failure.code)
            err_set(&h->failure, ERR_FAILED, "%s", detail);
        host_input(h, IN_EXITED, h->failure.msg);
    }
    event_base_loopbreak(h->base);
}

static void on_reset(struct host *h)
{
    log_line("the guest reboots");
    console_reset(h->console);
    macs_reset(h);
    identity_reset(h);
    agent_close(h->agent, "the guest rebooted");
    agent_open(h->agent);
    vsock_reset(h->vsock);
    host_input(h, IN_RESET, NULL);
}

static void on_running(struct host *h)
{
    bool stood = h->state == ST_PAUSED || h->state == ST_IO_ERROR;
    host_input(h, IN_RUNNING, NULL);
    if (stood)
        identity_again(h);
}

// During a save it is no input: the save goes on, and whether it matters shows at its end.
static void on_io_error(struct host *h, const char *why)
{
    if (h->state == ST_SAVING) {
        free(h->io_error);
        h->io_error = xstrdup(why);
    }
    host_input(h, IN_IO_ERROR, why);
}

static void on_engine_event(void *arg, enum engine_event what, const char *detail)
{
    struct host *h = arg;
    if (h->reserve && !reserve_event(what)) {
        host_halt(h, "its guest did not stand still in reserve");
        return;
    }
    switch (what) {
    case ENGINE_RUNNING:
        on_running(h);
        break;
    case ENGINE_PAUSED:
        host_input(h, IN_PAUSED, NULL);
        break;
    case ENGINE_IO_ERROR:
        on_io_error(h, detail);
        break;
    case ENGINE_PANICKED:
        h->panic_by_console = false;
        host_input(h, IN_PANICKED,
                   *console_panic(h->console) ? console_panic(h->console)
                                              : "the guest's kernel panicked");
        break;
    case ENGINE_RESET:
        on_reset(h);
        break;
    case ENGINE_NIC_GONE:
        macs_gone(h, atoi(detail)); // NOLINT: the engine's own
        break;
    case ENGINE_VSOCK_GONE:
        host_plug_vsock(h);
        break;
    case ENGINE_SHUTDOWN:
        on_shutdown(h, detail);
        break;
    case ENGINE_EXITED:
        on_exited(h, detail);
        break;
    }
}

static void on_engine_log(void *arg, const char *text, size_t n)
{
    const struct host *h = arg;
    if (h->engine_log)
        logfile_write(h->engine_log, text, n);
    else
        log_line("engine: %.*s", (int)n, text);
}

// The console tells more than the engine's event, and may do so later.
static void on_console_panic(void *arg, const char *line)
{
    struct host *h = arg;
    if (h->state == ST_PANICKED)
        host_enter(h, ST_PANICKED, line);
}

// A guest without pvpanic: nobody else will tell.
static void on_console_silent(void *arg, const char *line)
{
    struct host *h = arg;
    if (host_input(h, IN_PANICKED, line))
        h->panic_by_console = true;
}

static void on_console_went_on(void *arg)
{
    struct host *h = arg;
    if (h->panic_by_console)
        host_input(h, IN_RESET, NULL);
    h->panic_by_console = false;
}

// --- agent ---

void host_tell_agent(struct host *h)
{
    json_t *event = agent_status(h->agent);
    json_object_set_new(event, "event", json_string("agent"));
    json_object_set_new(event, "ready", json_boolean(host_ready(h)));
    server_event(h->control, event);
}

static void on_agent_ready(void *arg)
{
    identity_greeted(arg);
}

static void on_agent_changed(void *arg)
{
    host_tell_agent(arg);
}

// --- NIC ---

static int socket_nic(const struct host *h)
{
    for (int i = 0; i < h->nic_count; i++)
        if (h->nics[i].role == NIC_SOCKET)
            return i;
    return -1;
}

void host_sync_link(struct host *h)
{
    if (!h->engine || !h->nic)
        return;
    if (h->nic_moved)
        h->ops->nic_socket(h->engine, socket_nic(h), nic_fd(h->nic), NULL, NULL);
    h->nic_moved = false;
    h->ops->nic_link(h->engine, socket_nic(h), nic_up(h->nic), NULL, NULL);
}

// What happens before the engine takes orders it is told when it does, and what happens during a
// save if that fails.
static void follow_nic(struct host *h)
{
    if (h->loaded && h->state != ST_SAVING)
        host_sync_link(h);
}

static void on_link(void *arg, bool up)
{
    struct host *h = arg;
    follow_nic(h);
    if (up)
        macs_announce(h);
    server_event(h->control, json_pack("{s:s, s:b}", "event", "nic", "connected", up));
}

static void on_socket(void *arg)
{
    struct host *h = arg;
    h->nic_moved = true;
    follow_nic(h);
}

// --- vsock ---

static void on_vsock_plugged(void *arg, const struct err *why)
{
    (void)arg;
    if (why)
        log_line("vsock: cannot be plugged: %s", why->msg);
}

void host_plug_vsock(struct host *h)
{
    struct err e;
    AUTO_CLOSE int fd = h->vsock && h->engine ? vsock_renew(h->vsock, &e) : -1;
    if (fd >= 0)
        h->ops->vsock_plug(h->engine, fd, on_vsock_plugged, h);
}

// --- signals ---

void host_halt(struct host *h, const char *why)
{
    if (h->state == ST_STOPPING) // how it ends is settled; now it shall be soon
        host_end(h, h->ended);
    else if (host_input(h, IN_HALT, why))
        host_end(h, ENDED_HALTED);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
    (void)what;
    struct host *h = arg;
    struct err e;
    log_line("signal: %s", strsignal((int)sig));
    if (h->state == ST_STARTING || h->state == ST_RESTORING) {
        err_set(&h->failure, ERR_INTERRUPTED, "interrupted before its guest ran");
        host_halt(h, "interrupted");
    } else if (sig != SIGINT || h->fork) {
        host_halt(h, "Host was told to end");
    } else if (save_start(h, &(struct save_order){.sync = true}, &e) < 0) {
        log_line("%s", e.msg);
    }
}

static void watch_signals(struct host *h)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        h->signals[i] = evsignal_new(h->base, numbers[i], on_signal, h);
        event_add(h->signals[i], NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

// --- the whole ---

const struct engine_callbacks *host_engine_callbacks(struct host *h, struct engine_callbacks *out)
{
    *out = (struct engine_callbacks){.event = on_engine_event, .log = on_engine_log, .arg = h};
    return out;
}

static void on_client_end(void *arg, uint64_t client)
{
    struct host *h = arg;
    exec_client_ended(&h->execs, client);
}

int host_open_control(struct host *h, struct err *e)
{
    char *path = NULL;
    if (runtime_path(&h->store, h->options->id, RUNTIME_CONTROL, &path, e) < 0)
        return -1;
    json_t *hello =
        json_pack("{s:s, s:i, s:s}", "hello", "tailmac-host", "version", 1, "id", h->options->id);
    h->control = server_new(h->base, path, hello, host_verbs, h, e);
    free(path);
    if (h->control)
        server_on_client_end(h->control, on_client_end);
    h->engine_log = h->control ? logfile_open(h->vm.fd, VM_ENGINE_LOG, 1 << 20, e) : NULL;
    return h->engine_log ? 0 : -1;
}

void host_open_agent(struct host *h, int fd)
{
    struct agent_hooks hooks = {.ready = on_agent_ready, .changed = on_agent_changed, .arg = h};
    agent_free(h->agent);
    h->agent = agent_new(h->base, fd, &hooks);
    h->execs.agent = h->agent;
}

int host_open_channels(struct host *h, int console_fd, int agent_fd, struct err *e)
{
    char *path = NULL;
    if (runtime_path(&h->store, h->options->id, RUNTIME_CONSOLE, &path, e) < 0)
        return -1;
    struct console_hooks watch = {.panic = on_console_panic,
                                  .silent = on_console_silent,
                                  .went_on = on_console_went_on,
                                  .arg = h};
    h->console = console_new(h->base, console_fd, path, h->vm.fd, &watch, e);
    free(path);
    host_open_agent(h, agent_fd);
    return h->console ? 0 : -1;
}

int host_open_nic(struct host *h, int fd, struct err *e)
{
    if (socket_nic(h) < 0)
        return 0;
    struct nic_hooks hooks = {
        .link = on_link, .socket = on_socket, .arg = h, .look_ms = NIC_LOOK_MS};
    h->nic = nic_new(h->base, &h->store, h->options->id, h->nics[socket_nic(h)].mac, fd, &hooks, e);
    return h->nic ? 0 : -1;
}

int host_open_vsock(struct host *h, struct err *e)
{
    if (!h->vm.config.vsock || !os_vhost_user || (h->fork && fork_cid(h->fork) == 0))
        return 0;
    char *path = NULL;
    if (runtime_path(&h->store, h->options->id, RUNTIME_VSOCK, &path, e) < 0)
        return -1;
    struct address_plan plan;
    json_t *told =
        h->options->assign_ip && address_plan_parse(h->options->assign_ip, &plan, e) == 0
            ? json_pack("{s:s, s:s, s:s}", "ip", plan.ip, "mask", plan.mask, "gw", plan.gw)
            : NULL;
    AUTO_FREE char *line = told ? line_text(told) : xstrdup("wait\n");
    struct vsock_options options = {.path = path,
                                    .cid = h->fork ? fork_cid(h->fork) : VSOCK_USUAL_CID,
                                    .port = (uint32_t)h->vm.config.port,
                                    .address = line};
    h->vsock = vsock_new(h->base, &options, e);
    json_decref(told);
    free(path);
    return h->vsock ? 0 : -1;
}

// Everything that tells of the run is put right before anybody is told that it ended.
static void close_run(struct host *h)
{
    struct err e;
    if (h->control)
        server_retire(h->control);
    nic_free(TAKE_PTR(h->nic));
    console_free(TAKE_PTR(h->console));
    exec_end_all(&h->execs);
    agent_free(TAKE_PTR(h->agent));
    identity_clear(h);
    vsock_free(TAKE_PTR(h->vsock));
    if (h->vm.fd >= 0)
        saved_sweep(h->vm.fd); // a thread that still does goes with the process
    if (h->begun && record_end(h->vm.fd, h->ended, h->reason, &e) < 0)
        log_line("%s", e.msg);
    if (h->engine)
        h->ops->free(TAKE_PTR(h->engine));
    layers_close(&h->layers);
    if (h->vm.fork)
        fork_remove(&h->vm);
    fork_free(TAKE_PTR(h->fork));
    reserve_free(TAKE_PTR(h->reserve));
    vm_close(&h->vm);
}

static void answer_waiting(struct host *h)
{
    struct err e = {.code = ERR_FAILED};
    bool failed = strcmp(h->ended, ENDED_FAILED) == 0;
    if (failed)
        err_set(&e, ERR_FAILED, "%s", h->reason ? h->reason : "the engine failed");
    for (int i = 0; i < h->waiting_count; i++)
        if (failed)
            request_error(h->waiting[i], &e);
        else
            request_ok(h->waiting[i],
                       json_pack("{s:s, s:s?}", "ended", h->ended, "reason", h->reason));
    h->waiting_count = 0;
}

static void host_free(struct host *h)
{
    server_free(h->control);
    for (size_t i = 0; i < sizeof h->signals / sizeof *h->signals; i++)
        if (h->signals[i])
            event_free(h->signals[i]);
    if (h->agent_late)
        event_free(h->agent_late);
    logfile_close(h->engine_log);
    json_decref(h->manifest);
    store_close(&h->store);
    event_base_free(h->base);
    free(h->reason);
    free(h->io_error);
    free(h->note);
    free(h);
}

static bool answers(const struct store *s, const char *id)
{
    struct err ignored;
    AUTO_FREE char *control = NULL;
    if (runtime_path(s, id, RUNTIME_CONTROL, &control, &ignored) < 0)
        return false;
    AUTO_CLOSE int fd = unix_connect(control, NULL, &ignored);
    return fd >= 0;
}

static bool fork_answers(const struct store *s, const char *base)
{
    char **forks = forks_list(s, base);
    bool one = false;
    for (char **id = forks; *id && !one; id++)
        one = answers(s, *id);
    store_list_free(forks);
    return one;
}

// A Host that was killed leaves an engine that holds the lock for a moment. One that answers is
// busy.
static int open_vm(struct host *h, struct err *e)
{
    const char *id = h->options->id;
    for (int64_t deadline = clock_ms() + DYING_MS;; poll(NULL, 0, DYING_STEP_MS)) {
        int opened = vm_open(&h->store, id, LOCK_EXCLUSIVE, &h->vm, e);
        if ((opened == 0 || e->code == ERR_BUSY) && children_refuse(&h->store, id, e) < 0)
            return -1;
        if (opened == 0)
            return 0;
        if (e->code != ERR_BUSY || clock_ms() > deadline || answers(&h->store, id) ||
            fork_answers(&h->store, id) || pool_exists(&h->store, id))
            return -1;
    }
}

static int open_source(struct host *h, struct err *e)
{
    h->source = &h->vm;
    if (h->options->reserve)
        return reserve_open(h, e);
    if (h->options->fork)
        return fork_open(h, e);
    if (open_vm(h, e) < 0)
        return -1;
    file_sweep_temporaries(h->vm.fd, NULL);
    return 0;
}

static int run_guest(struct host *h, struct err *e)
{
    if ((!h->reserve && host_open_control(h, e) < 0) || boot_start(h, e) < 0)
        return -1;
    event_base_dispatch(h->base);
    if (!h->failure.code)
        return 0;
    *e = h->failure;
    return -1;
}

int host_run(struct host_options *options, struct err *e)
{
    struct host *h = xcalloc(1, sizeof *h);
    h->options = options;
    h->base = event_base_new();
    h->ended = ENDED_FAILED;
    h->vm.fd = h->vm.lock_fd = -1;
    watch_signals(h);
    int result = store_open(&h->store, options->home, e);
    if (result == 0) {
        result = open_source(h, e);
        if (result == 0) {
            result = run_guest(h, e);
            close_run(h);
            answer_waiting(h);
        }
    }
    host_free(h);
    return result;
}
