// `stop`: pause, let the engine write its state, manifest, publish, end. Until the state is
// published nothing is lost: whatever fails, the guest goes on. `keep`: the same of a fork, into
// another VM's directory, after which the guest goes on, too.
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/keep.h"

struct save_job {
    struct host *host;
    struct save_order order;
    char *id;        // of the VM whose state it is
    enum state from; // what it was doing before
    char *reason;    // and why
    bool unplugged;  // the vsock device
    bool quiet;      // agent and guest stand still, or are about to
    int dir_fd;
};

static void free_job(struct save_job *job)
{
    if (job->dir_fd >= 0)
        close(job->dir_fd);
    if (job->order.keep)
        close(job->order.vm_fd);
    free(job->id);
    free(job->reason);
    free(job);
}

static void answer_failed(struct host *h, struct request *keep, const struct err *why)
{
    if (keep) {
        request_error(keep, why);
        return;
    }
    for (int i = 0; i < h->waiting_count; i++)
        request_error(h->waiting[i], why);
    h->waiting_count = 0;
}

static void on_gone_on(void *arg, const struct err *why)
{
    struct host *h = arg;
    if (why && h->state == ST_PAUSED)
        host_enter(h, ST_PAUSED, why->msg);
}

// What was kept is kept, whether the guest goes on or not.
static void on_kept_gone_on(void *arg, const struct err *why)
{
    (void)why;
    request_ok(arg, NULL);
}

// Where it was, with all that it had. `kept`: told when it is there; NULL: nobody.
static void go_back(struct host *h, enum state from, bool quiet, const char *reason,
                    struct request *kept)
{
    host_input(h, IN_NOT_SAVED, NULL);
    host_sync_link(h);
    if (quiet)
        agent_open(h->agent);
    if (from == ST_RUNNING && !quiet && h->io_error) {
        host_enter(h, ST_IO_ERROR, h->io_error); // it stands still, with nobody else to tell
    } else if (from == ST_RUNNING && !quiet) {
        host_enter(h, from, reason);
    } else if (from == ST_RUNNING) {
        h->ops->resume(h->engine, kept ? on_kept_gone_on : on_gone_on, kept ? (void *)kept : h);
    } else {
        h->ops->pause(h->engine, NULL, NULL); // it may have been woken
        host_enter(h, from, reason);
        if (kept)
            request_ok(kept, NULL);
    }
}

static void fail(struct save_job *job, const struct err *why)
{
    struct host *h = job->host;
    struct err e = *why;
    log_line("save: %s", e.msg);
    saved_abandon(job->order.vm_fd);
    struct request *keep = job->order.keep;
    enum state from = job->from;
    bool unplugged = job->unplugged;
    bool quiet = job->quiet;
    AUTO_FREE char *reason = TAKE_PTR(job->reason);
    free_job(job);
    if (h->state == ST_PANICKED) {
        err_set(&e, ERR_FAILED, "cannot save the state: %s", h->reason);
        answer_failed(h, keep, &e);
        host_sync_link(h);
        return;
    }
    // The VM ends: by a halt that came in between, or its engine has. Who waits for that is told.
    bool ends = h->state != ST_SAVING || why->code == ERR_NOT_RUNNING;
    if (!ends)
        err_wrap(&e, "cannot save the state (nothing is lost: the guest is as before)");
    if (!ends || keep)
        answer_failed(h, keep, &e);
    if (ends)
        return;
    go_back(h, from, quiet, reason, NULL);
    if (unplugged)
        host_plug_vsock(h);
}

// Why the save cannot go on, if it cannot.
static const struct err *check(const struct save_job *job, const struct err *why, struct err *e)
{
    if (why || job->host->state == ST_SAVING)
        return why;
    err_set(e, ERR_FAILED, "the save was cut short");
    return e;
}

static json_t *nics_of(const struct host *h)
{
    json_t *nics = json_array();
    for (int i = 0; i < h->nic_count; i++) {
        char mac[MAC_TEXT];
        mac_format(&h->nics[i].actual, mac);
        json_array_append_new(nics,
                              json_pack("{s:s, s:s}", "role",
                                        h->nics[i].role == NIC_NAT ? "nat" : "socket", "mac", mac));
    }
    return nics;
}

static int publish(struct save_job *job, json_t *engine, struct err *e)
{
    struct host *h = job->host;
    const struct save_order *o = &job->order;
    const struct vm vm = {.fd = o->vm_fd, .config = h->vm.config}; // which looks at no more
    json_t *files = saved_file_facts(&vm, e);
    json_t *config = config_to_json(&h->vm.config);
    if (o->keep && h->vm.config.disk_format)
        json_object_set_new(config, "diskFormat", json_string("qcow2"));
    json_t *manifest = json_pack("{s:s, s:O, s:o, s:o*, s:b, s:o, s:b}", "id", job->id, "engine",
                                 engine, "nics", nics_of(h), "files", files, "agent",
                                 h->agent_expected, "config", config, "synced", o->sync);
    int result = files ? saved_publish(o->vm_fd, job->dir_fd, manifest, o->sync, e) : -1;
    json_decref(manifest);
    return result;
}

// The fork's guest goes on; what it was is kept.
static void kept(struct save_job *job)
{
    struct host *h = job->host;
    struct request *keep = job->order.keep;
    enum state from = job->from;
    bool unplugged = job->unplugged;
    AUTO_FREE char *reason = TAKE_PTR(job->reason);
    free_job(job);
    go_back(h, from, true, reason, keep);
    if (unplugged)
        host_plug_vsock(h);
}

static void saved(struct save_job *job)
{
    struct host *h = job->host;
    if (job->order.keep) {
        kept(job);
        return;
    }
    free_job(job);
    host_input(h, IN_SAVED, NULL);
    host_end(h, ENDED_SAVED);
}

static void on_saved(void *arg, json_t *engine, const struct err *why)
{
    struct save_job *job = arg;
    struct err e;
    why = check(job, why, &e);
    if (!why && publish(job, engine, &e) < 0)
        why = &e;
    json_decref(engine);
    if (why)
        fail(job, why);
    else
        saved(job);
}

static void on_paused(void *arg, const struct err *why)
{
    struct save_job *job = arg;
    struct host *h = job->host;
    struct err e;
    why = check(job, why, &e);
    if (!why && (job->dir_fd = saved_begin(job->order.vm_fd, &e)) < 0)
        why = &e;
    if (why)
        fail(job, why);
    else if (job->order.keep)
        keep_state(h, job->order.vm_fd, job->dir_fd, job->order.sync, on_saved, job);
    else
        h->ops->save(h->engine, job->dir_fd, job->order.sync, on_saved, job);
}

static void quiesce(struct save_job *job)
{
    struct host *h = job->host;
    job->quiet = true;
    agent_close(h->agent, "cut off by a save of the VM");
    if (job->from == ST_RUNNING || job->unplugged)
        h->ops->pause(h->engine, on_paused, job);
    else
        on_paused(job, NULL);
}

static void on_unplugged(void *arg, const struct err *why)
{
    struct save_job *job = arg;
    struct err e;
    if (why && why->code == ERR_TIMEOUT) {
        err_set(&e, ERR_FAILED,
                "the guest does not let go of its vsock device: it is booting, hangs, or its "
                "kernel cannot unplug PCI devices (then run it with vsock false)");
        why = &e;
    }
    job->unplugged = !why;
    why = check(job, why, &e);
    if (why)
        fail(job, why);
    else
        quiesce(job);
}

static void on_woken(void *arg, const struct err *why)
{
    struct save_job *job = arg;
    struct err e;
    why = check(job, why, &e);
    if (why)
        fail(job, why);
    else
        job->host->ops->vsock_unplug(job->host->engine, on_unplugged, job);
}

int save_start(struct host *h, const struct save_order *order, struct err *e)
{
    enum state from = h->state;
    AUTO_FREE char *reason = xstrdup(h->reason);
    if (h->replugged) // the state would have a NIC less than its manifest
        return err_set(e, ERR_BUSY, "a NIC is being replaced; try again");
    if (host_order(h, IN_SAVE, e) < 0)
        return -1;
    free(TAKE_PTR(h->io_error));
    struct save_job *job = xcalloc(1, sizeof *job);
    *job = (struct save_job){
        .host = h, .order = *order, .from = from, .reason = TAKE_PTR(reason), .dir_fd = -1};
    job->id = xstrdup(order->keep ? order->id : h->options->id);
    if (!order->keep)
        job->order.vm_fd = h->vm.fd;
    h->agent_expected = agent_is_ready(h->agent);
    if (h->vsock && from != ST_RUNNING) // only a guest that runs lets go of a device
        h->ops->resume(h->engine, on_woken, job);
    else if (h->vsock)
        on_woken(job, NULL);
    else
        quiesce(job);
    return 0;
}
