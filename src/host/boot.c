// From a VM at rest to a running guest: out of a saved state where there is a good one, else cold.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/worker.h"
#include "host/fork.h"
#include "host/reserve.h"
#include "host/run.h"
#include "proto/line.h"
#include "proto/unix.h"
#include "vm/disk.h"

// --- which state ---

static int load_manifest(struct host *h, enum saved_kind kind, struct err *e)
{
    h->manifest = saved_manifest(h->source->fd, kind, e);
    if (!h->manifest)
        return -1;
    // Who made the fork has checked its base, and holds it.
    return h->fork ? 0 : saved_check_files(h->source, h->manifest, kind, e);
}

// Somebody retired this state and died. Where the disk has not changed since, its guest has not run
// and nothing is lost; else it belongs to the past.
static int judge_retired(struct host *h, struct err *e)
{
    struct err why;
    if (load_manifest(h, SAVED_RETIRED, &why) == 0) {
        host_note(h, "the last run ended before its guest ran; resuming the same saved state");
        h->resumed = true;
        return saved_unretire(h->vm.fd, e);
    }
    host_note(h, "cold boot: the saved state was overtaken by a run that ended without saving (%s)",
              why.msg);
    json_decref(h->manifest);
    h->manifest = NULL;
    return 0;
}

static void note_bad_end(struct host *h)
{
    static const struct {
        const char *ended, *note;
    } ends[] = {
        {ENDED_KILLED, "the last run was killed and left no saved state"},
        {ENDED_FAILED, "the last run failed and left no saved state"},
        {ENDED_SAVED, "the state that the last run saved is not there any more"},
    };
    json_t *record = record_read(h->vm.fd, false);
    const char *ended = json_string_value(json_object_get(record, "ended"));
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(ended, ends[i].ended) == 0)
            host_note(h, "cold boot: %s", ends[i].note);
    json_decref(record);
}

static int choose_state(struct host *h, struct err *e)
{
    enum saved_kind kind = h->fork ? SAVED_READY : saved_find(h->vm.fd);
    if (h->options->discard_state && kind != SAVED_NONE) {
        host_note(h, "cold boot: the saved state was discarded as asked");
        return 0;
    }
    if (kind == SAVED_RETIRED)
        return judge_retired(h, e);
    if (kind == SAVED_NONE) {
        note_bad_end(h);
        return 0;
    }
    h->resumed = true; // an attempt, if no more
    return load_manifest(h, kind, e);
}

// --- which NICs ---

static void add_nic(struct host *h, enum nic_role role, struct mac mac)
{
    h->nics[h->nic_count++] =
        (struct host_nic){.role = role, .mac = mac, .actual = mac, .device = mac};
}

// Headless: one NIC, the kind that was asked for. Else, and when asked for both: NAT and socket.
static void layout_nics(struct host *h)
{
    const struct host_options *o = h->options;
    bool both = !o->headless || (o->nat_nic && o->disconnected_nic);
    if (both || o->nat_nic)
        add_nic(h, NIC_NAT, h->vm.config.ethermac);
    if (both || !o->nat_nic)
        add_nic(h, NIC_SOCKET, h->vm.config.mac);
}

// A resumed guest goes on with the NICs it had, unless the options say otherwise.
static void layout_saved_nics(struct host *h)
{
    const struct host_options *o = h->options;
    const json_t *saved = json_object_get(h->manifest, "nics");
    if (o->headless || o->nat_nic || o->disconnected_nic ||
        json_array_size(saved) > ENGINE_NICS_MAX) {
        layout_nics(h);
        return;
    }
    size_t i;
    json_t *nic;
    json_array_foreach(saved, i, nic) {
        const char *role = json_string_value(json_object_get(nic, "role"));
        bool nat = role && strcmp(role, "nat") == 0;
        add_nic(h, nat ? NIC_NAT : NIC_SOCKET, nat ? h->vm.config.ethermac : h->vm.config.mac);
    }
}

// The NICs of a saved guest are in its snapshot: as many, with the MACs they had.
static int match_nics(struct host *h, struct err *e)
{
    const json_t *saved = json_object_get(h->manifest, "nics");
    if (json_array_size(saved) != (size_t)h->nic_count)
        return err_set(e, ERR_FAILED,
                       "NICs of the saved guest: %zu, of this run: %d (--headless, --nat-nic and "
                       "--disconnected-nic choose them)",
                       json_array_size(saved), h->nic_count);
    for (int i = 0; i < h->nic_count; i++) {
        const char *mac =
            json_string_value(json_object_get(json_array_get(saved, (size_t)i), "mac"));
        if (!mac || mac_parse(mac, &h->nics[i].actual, e) < 0)
            return err_set(e, ERR_FAILED, "the saved state's manifest is damaged: nics");
    }
    h->agent_expected = json_is_true(json_object_get(h->manifest, "agent"));
    return 0;
}

// --- the start ---

void boot_started(struct host *h)
{
    struct err e;
    AUTO_CLOSE int keeper = TAKE_FD(h->options->keeper_fd);
    if (h->options->notify_fd < 0)
        return;
    json_t *answer = line_answer_ok(NULL, host_status(h));
    AUTO_FREE char *line = line_text(answer);
    json_decref(answer);
    AUTO_CLOSE int fd = TAKE_FD(h->options->notify_fd);
    if (fd_write_all(fd, line, strlen(line), &e) < 0 && h->fork)
        host_halt(h, "who asked for this fork is gone");
}

// A host that cannot run VMs says so plainly; what is wrong with a saved state comes with a way
// out.
static void explain_resume(const struct host *h, struct err *e)
{
    if (h->resumed && !h->fork && e->code == ERR_FAILED)
        err_wrap(e, "cannot resume (the saved state is kept; --discard-state boots without it)");
}

void boot_failed(struct host *h, const struct err *why)
{
    if (h->failure.code)
        return;
    if (h->state == ST_STOPPING) {
        err_set(&h->failure, ERR_FAILED, "it was halted before its guest ran");
        return;
    }
    h->failure = *why;
    if (h->failure.code == ERR_NOT_RUNNING) // the engine: nobody asked for something that runs
        h->failure.code = ERR_FAILED;
    explain_resume(h, &h->failure);
    host_enter(h, ST_STOPPING, why->msg);
    host_end(h, ENDED_FAILED);
}

static int sweep_work(void *arg, struct err *e)
{
    (void)e;
    saved_sweep(*(int *)arg);
    return 0;
}

static void sweep_done(void *arg, int result, struct err *e)
{
    (void)result;
    (void)e;
    close(*(int *)arg);
    free(arg);
}

// Giving back the blocks of a memory file takes the file system a while: not in the loop.
static void sweep(struct host *h)
{
    struct err e;
    int *fd = xcalloc(1, sizeof *fd);
    *fd = fcntl(h->vm.fd, F_DUPFD_CLOEXEC, 0);
    if (worker_start(h->base, sweep_work, sweep_done, fd, &e) < 0)
        sweep_done(fd, 0, &e);
}

static void on_resumed(void *arg, const struct err *why)
{
    struct host *h = arg;
    struct err e;
    if (why) { // a state stays retired: the next run finds out whether the guest ran
        boot_failed(h, why);
        return;
    }
    // The guest runs: its saved state is of the past for good.
    if (saved_discard(h->vm.fd, &e) < 0)
        log_line("%s", e.msg);
    sweep(h);
    if (h->resumed)
        host_plug_vsock(h);
    if (h->resumed)
        identity_begin(h);
    boot_started(h);
}

// The guest is loaded and stands still. From here on it may run, and the records must say so first.
static void on_loaded(void *arg, const struct err *why)
{
    struct host *h = arg;
    struct err e;
    if (why || h->state == ST_STOPPING) {
        boot_failed(h, why);
        return;
    }
    h->loaded = true;
    if (h->reserve) {
        reserve_loaded(h);
        return;
    }
    host_sync_link(h);
    if (h->fork) {
        fork_loaded(h);
        return;
    }
    int (*put_away)(int, struct err *) = h->resumed ? saved_retire : saved_discard;
    h->begun = record_begin(h->vm.fd, h->resumed ? "resumed" : "cold", h->note, &e) == 0;
    if (!h->begun || put_away(h->vm.fd, &e) < 0) {
        boot_failed(h, &e);
        return;
    }
    agent_open(h->agent);
    h->ops->resume(h->engine, on_resumed, h);
}

static int start_engine(struct host *h, int console_fd, int agent_fd, struct err *e)
{
    AUTO_CLOSE int saved_fd = h->manifest ? saved_open(h->source->fd, SAVED_READY, e) : -1;
    if (h->manifest && saved_fd < 0)
        return -1;
    // A device that is in the machine from the start; after a resume one is plugged.
    AUTO_CLOSE int vsock_fd = h->vsock && !h->manifest ? vsock_renew(h->vsock, e) : -1;
    if (h->vsock && !h->manifest && vsock_fd < 0)
        return -1;
    struct engine_saved saved = {.dir_fd = saved_fd,
                                 .stream_fd = -1,
                                 .engine = json_object_get(h->manifest, "engine"),
                                 .private_ram = h->reserve ? !h->options->vsock
                                                           : h->fork && fork_cid(h->fork) == 0};
    struct engine_spec spec = {
        .config = &h->vm.config,
        .dir_fd = h->source->fd,
        .runtime = h->store.runtime,
        .lock_fd = h->vm.lock_fd,
        .fork = h->fork != NULL,
        .variables_fd = h->fork ? fork_variables(h->fork) : -1,
        .console_fd = console_fd,
        .agent_fd = agent_fd,
        .nic_count = h->nic_count,
        .overlay_fd = h->fork ? fork_overlay(h->fork) : -1,
        .layers = &h->layers,
        .vsock = h->vm.config.vsock && os_vhost_user,
        .vsock_fd = vsock_fd,
        .saved = h->manifest ? &saved : NULL,
    };
    int nic = h->reserve ? reserve_nic(h->reserve) : h->nic ? nic_fd(h->nic) : -1;
    for (int i = 0; i < h->nic_count; i++)
        spec.nics[i] =
            (struct engine_nic){.role = h->nics[i].role, .mac = h->nics[i].mac, .socket_fd = nic};
    struct engine_callbacks callbacks;
    host_engine_callbacks(h, &callbacks);
    h->engine = h->ops->start(h->base, &spec, &callbacks, on_loaded, h, e);
    return h->engine ? 0 : -1;
}

// What has the VM's name, around Host's ends (taken) of what the engine has.
static int open_ends(struct host *h, int console_fd, int agent_fd, int nic_fd, struct err *e)
{
    if (host_open_channels(h, console_fd, agent_fd, e) < 0 || host_open_nic(h, nic_fd, e) < 0 ||
        host_open_vsock(h, e) < 0)
        return -1;
    macs_begin(h);
    if (h->nic && (!h->options->disconnected_nic || h->options->attach_network))
        nic_attach(h->nic,
                   h->options->attach_network ? h->options->attach_network
                                              : h->vm.config.server_socket,
                   NULL, NULL);
    return 0;
}

static int start_parts(struct host *h, struct err *e)
{
    int console[2];
    int agent[2];
    if (unix_pair(console, e) < 0 || unix_pair(agent, e) < 0)
        return -1;
    AUTO_CLOSE int console_child = console[1];
    AUTO_CLOSE int agent_child = agent[1];
    if (h->reserve)
        reserve_keep(h->reserve, console[0], agent[0]);
    else if (open_ends(h, console[0], agent[0], -1, e) < 0)
        return -1;
    return start_engine(h, console_child, agent_child, e);
}

// A qcow2 may name other files of this host, and the directory may come from anywhere: only a link
// to a disk of the same bundle is followed.
static int open_lower_disks(struct host *h, struct err *e)
{
    struct disk_info info;
    const char *format = h->vm.config.disk_format;
    if (h->fork) // whose own is empty yet
        return 0;
    if (!format || strcmp(format, "qcow2") != 0)
        return 0;
    if (disk_probe_own(h->vm.fd, &info, e) < 0)
        return -1;
    if (!*info.link.parent)
        return 0;
    return layers_open(&h->store, info.link.parent, &info.link.stamp, &h->layers, e);
}

// What was saved is part of the configuration, and the run begins.
static int begin(struct host *h, struct err *e)
{
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(h->started, sizeof h->started, "%Y-%m-%dT%H:%M:%SZ", &tm);
    AUTO_FREE char *warning = NULL;
    if (h->resumed && saved_complete_config(h->manifest, &h->vm.config, &warning, e) < 0)
        return -1;
    if (warning)
        host_note(h, "%s", warning);
    return 0;
}

int boot_claimed(struct host *h, int console_fd, int agent_fd, int nic_fd, struct err *e)
{
    vm_close(&h->vm);
    free(TAKE_PTR(h->note)); // what is told of the rehearsal
    identity_clear(h);
    h->replug_failed = false;
    if (fork_open(h, e) < 0 || host_open_control(h, e) < 0 || begin(h, e) < 0)
        return -1;
    host_enter(h, ST_RESTORING, NULL);
    for (int i = 0; i < h->nic_count; i++)
        h->nics[i].mac = h->nics[i].role == NIC_NAT ? h->vm.config.ethermac : h->vm.config.mac;
    if (open_ends(h, console_fd, agent_fd, nic_fd, e) < 0)
        return -1;
    host_sync_link(h);
    fork_loaded(h);
    return 0;
}

static int start(struct host *h, struct err *e)
{
    if (choose_state(h, e) < 0)
        return -1;
    host_enter(h, h->resumed ? ST_RESTORING : ST_STARTING, NULL);
    if (begin(h, e) < 0)
        return -1;
    if (h->resumed)
        layout_saved_nics(h);
    else
        layout_nics(h);
    if (h->resumed && match_nics(h, e) < 0)
        return -1;
    h->ops = engine_find(h->vm.config.engine, e);
    return h->ops && open_lower_disks(h, e) == 0 ? start_parts(h, e) : -1;
}

int boot_start(struct host *h, struct err *e)
{
    if (start(h, e) == 0)
        return 0;
    explain_resume(h, e);
    return -1;
}
