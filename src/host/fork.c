// A fork's way: its base, its identity, its hold, its end.
#include "host/fork.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/names.h"
#include "host/reserve.h"
#include "vm/disk.h"
#include "vm/fork.h"
#include "vm/qcow2.h"

struct fork {
    struct vm base;
    int overlay_fd;   // what the guest writes; the kernel removes it with its last owner
    int variables_fd; // the same, of its firmware
    json_t *facts;
    char *hostname;
    char machine_id[MACHINE_ID_TEXT];
    bool identified; // the guest has an identity of its own
    bool hold;       // it shall stand still then
    bool held;       // it does so
    struct event *tie;
    struct event *start;       // the end of the hold
    struct request *releasing; // told then
};

// --- its parts ---

static const char *text_of(const struct fork *f, const char *key)
{
    return json_string_value(json_object_get(f->facts, key));
}

uint32_t fork_cid(const struct fork *f)
{
    return (uint32_t)json_integer_value(json_object_get(f->facts, "cid"));
}

bool fork_will_hold(const struct fork *f)
{
    return f->hold;
}

bool fork_is_held(const struct fork *f)
{
    return f->held;
}

int fork_check_keep(const struct fork *f, struct err *e)
{
    if (f->held)
        return err_set(e, ERR_BUSY, "it is held: 'tailmac release' lets it go first");
    return f->identified ? 0 : err_set(e, ERR_BUSY, "it has no identity of its own yet");
}

json_t *fork_status(const struct fork *f)
{
    return json_pack("{s:s, s:s, s:b}", "base", text_of(f, "base"), "group", text_of(f, "group"),
                     "held", f->held);
}

int fork_overlay(const struct fork *f)
{
    return f->overlay_fd;
}

int fork_variables(const struct fork *f)
{
    return f->variables_fd;
}

static void on_tie(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    host_halt(arg, "the process that it was tied to has ended");
}

static void watch_tie(struct host *h, struct fork *f)
{
    if (h->options->tie_fd < 0)
        return;
    f->tie = event_new(h->base, h->options->tie_fd, EV_READ, on_tie, h);
    event_add(f->tie, NULL);
}

static int make_overlay(const struct host *h, uint64_t size, int *fd, struct err *e)
{
    *fd = file_unnamed(h->store.fd, e);
    return *fd < 0 ? -1 : qcow2_write(*fd, size, NULL, e);
}

// Locked by its layer, whose lock the engine inherits.
static int open_base(struct host *h, struct fork *f, const char *id, struct err *e)
{
    if (layers_open(&h->store, id, NULL, &h->layers, e) < 0 ||
        vm_open(&h->store, id, LOCK_NONE, &f->base, e) < 0)
        return -1;
    struct stat st;
    if (fstatat(f->base.fd, VM_AUX, &st, 0) == 0 &&
        make_overlay(h, (uint64_t)st.st_size, &f->variables_fd, e) < 0)
        return -1;
    const struct layer *disk = &h->layers.of[0];
    return disk->fd < 0 ? 0 : make_overlay(h, disk->size, &f->overlay_fd, e);
}

// The id, as far as it is a label (RFC 1123, 2.1): 63 of letters, digits and '-'.
static char *hostname_of(const char *id)
{
    enum { LABEL_MAX = 63 };
    size_t n = strlen(id);
    id += n > LABEL_MAX ? n - LABEL_MAX : 0; // the number at its end is what differs
    while (*id && !isalnum((unsigned char)*id))
        id++;
    char *name = xstrdup(id);
    for (char *p = name; *p; p++)
        *p = isalnum((unsigned char)*p) ? *p : '-';
    return name;
}

static int choose_names(struct host *h, struct fork *f, struct err *e)
{
    free(f->hostname);
    f->hostname = hostname_of(h->vm.id);
    h->options->hostname = f->hostname;
    h->options->machine_id = f->machine_id;
    return machine_id_parse("new", f->machine_id, e);
}

static void begin(struct host *h)
{
    h->fork = xcalloc(1, sizeof *h->fork);
    h->fork->overlay_fd = h->fork->variables_fd = -1;
    h->source = &h->fork->base;
}

int fork_reserve(struct host *h, struct err *e)
{
    const char *id = h->options->id;
    begin(h);
    h->vm = (struct vm){.store = &h->store, .id = xstrdup(id), .fd = -1, .lock_fd = -1};
    if (open_base(h, h->fork, id, e) < 0)
        return -1;
    config_copy(&h->fork->base.config, id, &h->vm.config);
    return 0;
}

int fork_rehearse(struct host *h, struct err *e)
{
    struct fork *f = h->fork;
    f->hold = true;
    for (int i = 0; i < h->nic_count; i++)
        if (h->nics[i].role == NIC_SOCKET) // the other keeps its own, and its address
            mac_random(&h->nics[i].mac);
    if (choose_names(h, f, e) < 0)
        return -1;
    fork_loaded(h);
    return 0;
}

int fork_open(struct host *h, struct err *e)
{
    if (!h->fork)
        begin(h);
    struct fork *f = h->fork;
    f->hold = h->options->hold;
    f->identified = h->identity_right = false;
    identity_reset(h);
    if (vm_open(&h->store, h->options->id, LOCK_NONE, &h->vm, e) < 0)
        return -1;
    h->vm.lock_fd = h->options->lock_fd;
    if (!h->vm.fork)
        return err_set(e, ERR_USAGE, "'%s' is no fork", h->options->id);
    f->facts = fork_facts(&h->vm, e);
    if (!f->facts || (!f->base.store && open_base(h, f, text_of(f, "base"), e) < 0) ||
        choose_names(h, f, e) < 0)
        return -1;
    watch_tie(h, f);
    return 0;
}

void fork_free(struct fork *f)
{
    if (!f)
        return;
    if (f->tie)
        event_free(f->tie);
    if (f->start)
        event_free(f->start);
    if (f->overlay_fd >= 0)
        close(f->overlay_fd);
    if (f->variables_fd >= 0)
        close(f->variables_fd);
    vm_close(&f->base);
    json_decref(f->facts);
    free(f->hostname);
    free(f);
}

static int make_disk(const struct host *h, int dir_fd, struct err *e)
{
    const struct fork *f = h->fork;
    if (f->overlay_fd < 0)
        return 0;
    if (h->layers.count == LAYERS_MAX)
        return err_set(e, ERR_FAILED, "its disk rests on %d others, which is too many", LAYERS_MAX);
    struct layers all = {.count = h->layers.count + 1};
    all.of[0] = (struct layer){.fd = f->overlay_fd, .format = "qcow2"};
    memcpy(&all.of[1], h->layers.of, (size_t)h->layers.count * sizeof *all.of);
    return disk_make_whole(dir_fd, VM_DISK, "qcow2", &all, e);
}

static int make_variables(const struct fork *f, int dir_fd, struct err *e)
{
    if (f->variables_fd < 0)
        return 0;
    AUTO_CLOSE int below = openat(f->base.fd, VM_AUX, O_RDONLY | O_CLOEXEC);
    if (below < 0)
        return err_sys(e, "cannot open %s", VM_AUX);
    const struct layers all = {
        .of = {{.fd = f->variables_fd, .format = "qcow2"}, {.fd = below, .format = "raw"}},
        .count = 2};
    return disk_make_whole(dir_fd, VM_AUX, "raw", &all, e);
}

int fork_make_files(const struct host *h, int dir_fd, struct err *e)
{
    return make_disk(h, dir_fd, e) < 0 ? -1 : make_variables(h->fork, dir_fd, e);
}

// --- the start ---

static void on_running(void *arg, const struct err *why)
{
    struct host *h = arg;
    if (why) {
        boot_failed(h, why);
        return;
    }
    host_plug_vsock(h);
}

// The request is there when the guest wakes.
void fork_loaded(struct host *h)
{
    agent_open(h->agent);
    identity_begin(h);
    h->ops->resume(h->engine, on_running, h);
}

static void on_held(void *arg, const struct err *why)
{
    struct host *h = arg;
    if (why) {
        boot_failed(h, why);
        return;
    }
    if (h->reserve) {
        reserve_rests(h);
        return;
    }
    h->fork->held = true;
    macs_connect(h);
    boot_started(h);
}

void fork_ready(struct host *h)
{
    struct fork *f = h->fork;
    if (f->identified)
        return;
    f->identified = true;
    if (f->hold)
        h->ops->pause(h->engine, on_held, h);
    else
        boot_started(h);
}

void fork_nameless(struct host *h, const struct err *why)
{
    struct err e = *why;
    if (h->fork->identified) // it was given one before
        return;
    err_wrap(&e, "it gets no identity of its own");
    boot_failed(h, &e);
}

// --- the end of the hold ---

static void on_released(void *arg, const struct err *why)
{
    struct host *h = arg;
    struct fork *f = h->fork;
    struct request *rq = TAKE_PTR(f->releasing);
    f->held = why != NULL;
    if (why)
        request_error(rq, why);
    else
        request_ok(rq, json_pack("{s:I}", "started", (json_int_t)clock_ns()));
}

static void on_start(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct host *h = arg;
    h->fork->hold = false;
    identity_again(h); // it stood still
    h->ops->resume(h->engine, on_released, h);
}

void fork_release(struct host *h, uint64_t at, struct request *rq)
{
    struct fork *f = h->fork;
    struct err e;
    if (f->releasing) {
        err_set(&e, ERR_BUSY, "it is being released");
        request_error(rq, &e);
        return;
    }
    f->releasing = rq;
    uint64_t now = clock_ns();
    uint64_t wait = at > now ? (at - now) / 1000 : 0;
    if (!f->start)
        f->start = evtimer_new(h->base, on_start, h);
    event_add(f->start, &(struct timeval){.tv_sec = (time_t)(wait / 1000000),
                                          .tv_usec = (suseconds_t)(wait % 1000000)});
}
