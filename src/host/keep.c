// A fork becomes a VM and goes on. QEMU puts memory that is private, as a fork's is, into its
// stream, where no resume would look for it. So the guest, while it stands still, is sent to a
// twin: an engine on the new VM's directory, with memory of its own, in which nothing ever runs. Of
// that one the state is saved as of any other.
#include "host/keep.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/spawn.h"
#include "base/worker.h"
#include "host/fork.h"
#include "proto/unix.h"

enum { CONSOLE, AGENT, NIC, ENDS };

struct keep {
    struct host *host;
    struct vm_config config; // the new VM's, as far as its machine goes
    int vm_fd;
    int state_fd;
    bool sync;
    engine_saved_done *done;
    void *arg;

    struct engine *twin;
    int ends[ENDS]; // ours, of what the twin has; nobody reads or writes there
    int moving;     // sent, and loaded: how many of these are to come
    json_t *engine; // what the twin said of the state
    struct err why; // it failed; code 0: it did not
};

static void keep_end(struct keep *k)
{
    engine_saved_done *done = k->done;
    void *arg = k->arg;
    json_t *engine = TAKE_PTR(k->engine);
    struct err why = k->why;
    for (int i = 0; i < ENDS; i++)
        if (k->ends[i] >= 0)
            close(k->ends[i]);
    config_free(&k->config);
    free(k);
    if (why.code)
        json_decref(engine);
    done(arg, why.code ? NULL : engine, why.code ? &why : NULL);
}

// Nothing works on the new VM's files any more, nor for them.
static void end_if_over(struct keep *k)
{
    if (!k->twin && k->moving == 0)
        keep_end(k);
}

static void failed(struct keep *k, const struct err *why)
{
    if (!k->why.code) { // the first reason is the reason
        k->why = *why;
        if (k->why.code == ERR_NOT_RUNNING) // that is said of the fork alone, by its own engine
            k->why.code = ERR_FAILED;
    }
    if (k->twin)
        k->host->ops->quit(k->twin);
}

static void on_twin_event(void *arg, enum engine_event what, const char *detail)
{
    struct keep *k = arg;
    if (what != ENGINE_EXITED)
        return;
    log_line("keep: %s", detail);
    k->host->ops->free(TAKE_PTR(k->twin));
    end_if_over(k);
}

// Its last words come with its end.
static void on_twin_log(void *arg, const char *text, size_t n)
{
    (void)arg;
    (void)text;
    (void)n;
}

static void on_twin_saved(void *arg, json_t *engine, const struct err *why)
{
    struct keep *k = arg;
    k->engine = engine;
    if (why)
        failed(k, why);
    else
        k->host->ops->quit(k->twin);
}

static void moved(struct keep *k, const struct err *why)
{
    k->moving--;
    if (why)
        failed(k, why);
    if (k->moving == 0 && !k->why.code)
        k->host->ops->save(k->twin, k->state_fd, k->sync, on_twin_saved, k);
    else
        end_if_over(k);
}

static void on_sent(void *arg, const struct err *why)
{
    moved(arg, why);
}

static void on_loaded(void *arg, const struct err *why)
{
    moved(arg, why);
}

// The twin's machine is the fork's, its files are the new VM's; its NICs lead nowhere.
static int start_twin(struct keep *k, const int theirs[ENDS], int stream, struct err *e)
{
    struct host *h = k->host;
    json_t *machine = h->ops->describe(h->engine);
    const struct engine_saved state = {.dir_fd = -1, .stream_fd = stream, .engine = machine};
    struct engine_spec spec = {.config = &k->config,
                               .dir_fd = k->vm_fd,
                               .runtime = h->store.runtime,
                               .lock_fd = -1,
                               .variables_fd = -1,
                               .console_fd = theirs[CONSOLE],
                               .agent_fd = theirs[AGENT],
                               .nic_count = h->nic_count,
                               .overlay_fd = -1,
                               .vsock = h->vm.config.vsock && os_vhost_user,
                               .vsock_fd = -1,
                               .saved = &state};
    for (int i = 0; i < h->nic_count; i++)
        spec.nics[i] = (struct engine_nic){
            .role = h->nics[i].role, .mac = h->nics[i].mac, .socket_fd = theirs[NIC]};
    const struct engine_callbacks callbacks = {
        .event = on_twin_event, .log = on_twin_log, .arg = k};
    k->twin = h->ops->start(h->base, &spec, &callbacks, on_loaded, k, e);
    json_decref(machine);
    return k->twin ? 0 : -1;
}

static int move(struct keep *k, struct err *e)
{
    int stream[2];
    int theirs[ENDS] = {-1, -1, -1};
    int result = pipe_open(stream, e);
    if (result < 0)
        return -1;
    for (int i = 0; i < ENDS && result == 0; i++) {
        int pair[2];
        result = unix_pair(pair, e);
        if (result == 0) {
            k->ends[i] = pair[0];
            theirs[i] = pair[1];
        }
    }
    if (result == 0)
        result = start_twin(k, theirs, stream[0], e);
    if (result == 0) {
        k->moving = 2;
        k->host->ops->send(k->host->engine, stream[1], on_sent, k);
    }
    for (int i = 0; i < ENDS; i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    close(stream[0]);
    close(stream[1]);
    return result;
}

static int make_files(void *arg, struct err *e)
{
    const struct keep *k = arg;
    return fork_make_files(k->host, k->vm_fd, e);
}

static void on_files_made(void *arg, int result, struct err *e)
{
    struct keep *k = arg;
    struct err why;
    if (result == 0 && k->host->state != ST_SAVING)
        result = err_set(e, ERR_FAILED, "the fork ended meanwhile");
    if (result == 0 && move(k, &why) == 0)
        return;
    k->why = result < 0 ? *e : why;
    keep_end(k);
}

void keep_state(struct host *h, int vm_fd, int state_fd, bool sync, engine_saved_done *done,
                void *arg)
{
    struct err e;
    struct keep *k = xcalloc(1, sizeof *k);
    *k = (struct keep){.host = h,
                       .vm_fd = vm_fd,
                       .state_fd = state_fd,
                       .sync = sync,
                       .done = done,
                       .arg = arg,
                       .ends = {-1, -1, -1}};
    config_copy(&h->vm.config, h->vm.config.vm_id, &k->config);
    if ((k->config.disk_format && config_set(&k->config, "diskFormat", "qcow2", &e) < 0) ||
        worker_start(h->base, make_files, on_files_made, k, &e) < 0) {
        k->why = e;
        keep_end(k);
    }
}
