// Makes forks' directories, starts their Hosts, a few at a time, and hears of them.
#include "cli/fleet.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/launch.h"
#include "cli/live.h"
#include "cli/pool.h"
#include "vm/fork.h"

enum { CID_FIRST = 4, END_MS = 5000 };

struct member {
    struct vm fork; // its lock is ours until its Host has it
    struct launch launch;
    uint64_t begun;
    bool pooled;    // its Host came out of the pool
    json_t *status; // NULL: nothing was heard yet
};

struct fleet {
    const struct fork_base *base;
    const struct fleet_plan *plan;
    struct client_conn *pool; // NULL: there is none
    struct member *members;
    int64_t made, started, heard;
    int64_t number; // of the last id
};

// --- what each is made of ---

static int mac_after(const struct mac *first, int64_t n, struct mac *out, struct err *e)
{
    uint64_t value = 0;
    for (int i = 0; i < 6; i++)
        value = value << 8 | first->octet[i];
    value += (uint64_t)n;
    for (int i = 5; i >= 0; i--, value >>= 8)
        out->octet[i] = (uint8_t)value;
    if (value == 0 && !(out->octet[0] & 1))
        return 0;
    return err_set(e, ERR_USAGE, "--mac-base: there are not so many unicast addresses after it");
}

static int choose_mac(const struct fleet *f, struct mac *out, struct err *e)
{
    const struct fleet_plan *p = f->plan;
    if (p->base)
        return mac_after(p->base, f->number - 1, out, e);
    if (p->macs)
        *out = p->macs[f->made];
    else
        mac_random(out);
    return 0;
}

// Guests of one host need not have different CIDs, but programs in them may tell them apart by it.
static json_t *describe(const struct fleet *f)
{
    json_t *facts = json_pack("{s:s, s:s}", "base", f->base->vm.id, "group", f->plan->group);
    uint32_t random;
    os_random(&random, sizeof random);
    if (f->plan->vsock)
        json_object_set_new(facts, "cid", json_integer(CID_FIRST + random / 2));
    return facts;
}

static int configure(const struct fleet *f, const char *id, struct vm_config *c, struct err *e)
{
    char text[MAC_TEXT];
    struct mac mac;
    config_copy(&f->base->vm.config, id, c);
    if (choose_mac(f, &mac, e) < 0)
        return -1;
    mac_format(&mac, text);
    if (config_set(c, "mac", text, e) < 0 || config_check(c, e) < 0)
        return -1;
    return f->plan->network ? config_set_as(c, "--network", "serverSocket", f->plan->network, e)
                            : 0;
}

// 1: that id is a fork's already.
static int try_make(struct fleet *f, struct vm *out, struct err *e)
{
    struct vm_config c;
    bool of_fork;
    AUTO_FREE char *id = xasprintf("%s-%" PRId64, f->plan->prefix, ++f->number);
    if (id_check(id, e) < 0)
        return -1;
    int result = configure(f, id, &c, e);
    if (result == 0) {
        json_t *facts = describe(f);
        result =
            fork_make(f->base->vm.store, &c, facts, out, &of_fork, e) < 0 ? of_fork ? 1 : -1 : 0;
        json_decref(facts);
    }
    config_free(&c);
    return result;
}

static int make_all(struct fleet *f, struct err *e)
{
    for (; f->made < f->plan->count; f->made++) {
        int taken;
        while ((taken = try_make(f, &f->members[f->made].fork, e)) > 0)
            ;
        if (taken < 0)
            return -1;
    }
    return 0;
}

// --- the start ---

static bool take_host(struct fleet *f, struct member *m, int log)
{
    struct err ignored;
    const struct fleet_plan *p = f->plan;
    const struct pool_claim claim = {.id = m->fork.id,
                                     .lock_fd = m->fork.lock_fd,
                                     .log_fd = log,
                                     .tie_fd = p->tie_fd,
                                     .vsock = p->vsock,
                                     .hold = p->hold};
    m->pooled = f->pool && pool_take(f->pool, &claim, &m->launch, &ignored) == 0;
    return m->pooled;
}

static int make_host(struct fleet *f, struct member *m, int log, struct err *e)
{
    const struct fleet_plan *p = f->plan;
    int keep[2] = {m->fork.lock_fd, p->tie_fd};
    struct argv argv = {0};
    m->pooled = false;
    if (launch_argv(&argv, m->fork.store, "fork", m->fork.id, e) < 0)
        return -1;
    argv_add(&argv, "--lock-fd=%d", m->fork.lock_fd);
    if (p->hold)
        argv_add(&argv, "--hold");
    if (p->tie_fd >= 0)
        argv_add(&argv, "--tie-fd=%d", p->tie_fd);
    return launch_start(&m->launch, m->fork.store, &argv, log, keep, p->tie_fd >= 0 ? 2 : 1, e);
}

static int start_host(struct fleet *f, struct member *m, bool fresh, struct err *e)
{
    AUTO_CLOSE int log =
        openat(m->fork.fd, VM_HOST_LOG, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log < 0)
        return err_sys(e, "cannot open %s", VM_HOST_LOG);
    m->begun = clock_ns();
    return !fresh && take_host(f, m, log) ? 0 : make_host(f, m, log, e);
}

static int hear(struct fleet *f, struct member *m, struct err *e)
{
    int said = launch_read(&m->launch, &m->status, e);
    if (said < 0 && m->pooled && m->launch.length == 0) { // it was killed in the pool
        launch_close(&m->launch);
        return start_host(f, m, true, e);
    }
    if (said < 0)
        return err_wrap(e, "fork '%s'", m->fork.id);
    if (said == 0)
        return 0;
    f->heard++;
    launch_close(&m->launch);
    vm_close(&m->fork);
    json_object_set_new(m->status, "seconds", json_real((double)(clock_ns() - m->begun) / 1e9));
    json_object_set_new(m->status, "pooled", json_boolean(m->pooled));
    return 0;
}

static int wait_for_some(struct fleet *f, struct err *e)
{
    AUTO_FREE struct pollfd *p = xcalloc((size_t)f->started, sizeof *p);
    for (int64_t i = 0; i < f->started; i++)
        p[i] = (struct pollfd){.fd = f->members[i].status ? -1 : f->members[i].launch.fd,
                               .events = POLLIN};
    int64_t left = f->plan->deadline - clock_ms();
    int ready = poll(p, (nfds_t)f->started, left < 0 ? 0 : (int)left);
    if (interrupt_check(e) < 0)
        return -1;
    if (ready == 0)
        return err_set(e, ERR_TIMEOUT, "%" PRId64 " of %" PRId64 " forks were ready in time",
                       f->heard, f->plan->count);
    for (int64_t i = 0; ready > 0 && i < f->started; i++)
        if (p[i].revents && hear(f, &f->members[i], e) < 0)
            return -1;
    return 0;
}

// What a fork does until it is ready is work: more at once than there are processors would only be
// ready later.
static int start_all(struct fleet *f, struct err *e)
{
    int64_t limit = sysconf(_SC_NPROCESSORS_ONLN);
    while (f->heard < f->plan->count) {
        for (; f->started < f->plan->count && f->started - f->heard < limit; f->started++)
            if (start_host(f, &f->members[f->started], false, e) < 0)
                return -1;
        if (wait_for_some(f, e) < 0)
            return -1;
    }
    return 0;
}

// One after the other, as they have one deadline.
static int wait_for_addresses(const struct fleet *f, struct err *e)
{
    for (int64_t i = 0; i < f->plan->count; i++) {
        json_t *known = f->members[i].status;
        const char *id = json_string_value(json_object_get(known, "id"));
        json_t *status = live_wait(f->base->vm.store, id, "ip", f->plan->deadline, e);
        if (!status)
            return -1;
        json_object_update(known, status);
        json_decref(status);
    }
    return 0;
}

// --- the end ---

static void free_member(struct member *m)
{
    launch_close(&m->launch);
    vm_close(&m->fork);
    json_decref(m->status);
}

// One that came out of a pool is no child; where even its pid is not known, it ends when it has
// nobody to report to.
static void end_all(const struct fleet *f)
{
    for (int64_t i = 0; i < f->started; i++) {
        pid_t pid = f->members[i].launch.pid;
        AUTO_CLOSE int end = pid > 0 && f->members[i].pooled ? os_process_watch(pid) : -1;
        if (pid > 0)
            kill(pid, SIGTERM);
        if (end >= 0)
            poll(&(struct pollfd){.fd = end, .events = POLLIN}, 1, END_MS);
    }
    for (int64_t i = 0; i < f->started; i++)
        if (!f->members[i].pooled)
            waitpid(f->members[i].launch.pid, NULL, 0);
}

int fleet_start(const struct fork_base *base, const struct fleet_plan *plan, json_t **forks,
                struct err *e)
{
    struct err ignored;
    struct fleet f = {.base = base, .plan = plan};
    f.pool = pool_connect(base->vm.store, base->vm.id, &ignored);
    f.members = xcalloc((size_t)plan->count, sizeof *f.members);
    int result = make_all(&f, e) < 0 ? -1 : start_all(&f, e);
    if (result == 0 && plan->addresses)
        result = wait_for_addresses(&f, e);
    if (result < 0)
        end_all(&f);
    *forks = result < 0 ? NULL : json_array();
    for (int64_t i = 0; i < f.made; i++) {
        if (*forks)
            json_array_append(*forks, f.members[i].status);
        free_member(&f.members[i]);
    }
    free(f.members);
    client_close(f.pool);
    if (result < 0) // what has no Host, or one that could not begin
        forks_sweep(base->vm.store);
    return result;
}
