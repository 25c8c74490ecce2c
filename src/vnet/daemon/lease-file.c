// Replaced in one step, and not synced: it need not outlive the computer's own end.
#include "vnet/daemon/lease-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "vnet/daemon/daemon.h"
#include "vnet/daemon/documents.h"
#include "vnet/daemon/lease-lines.h"

#define NS UINT64_C(1000000000)

// Writing takes time that frames do not have: a twentieth of it at most.
enum { PAUSE_MS = 100, FAILED_PAUSE_MS = 1000, SHARE = 20, SIZE_MAX_READ = 256 << 20 };

// What was told and written of a lease last.
struct told {
    uint32_t address;
    struct mac mac;
    uint64_t until;
};

struct lease_file {
    struct daemon *d;
    char *path;
    const char *name; // in `dir`
    int dir;
    struct event *timer;
    bool waits;
    bool failed;       // the last attempt, which is then made again
    uint64_t written;  // vnet_lease_changes() then
    struct told *told; // of each network its leases
};

// --- reading ---

static int64_t wall_seconds(void)
{
    return (int64_t)time(NULL);
}

static int network_number(const struct labfile *lab, const char *name)
{
    for (unsigned i = 0; i < lab->network_count; i++)
        if (strcmp(lab->networks[i].entry.name, name) == 0)
            return (int)i;
    return -1;
}

// Ended leases come back too: their clients get their old addresses when they ask.
static void restore(void *arg, const struct lease_line *l)
{
    struct lease_file *f = arg;
    struct vnet_lease lease = l->is;
    struct err e;
    int64_t left = l->ends - wall_seconds();
    uint64_t now = clock_ns();
    if (left > 0)
        lease.until =
            (uint64_t)left < (VNET_NEVER - now) / NS ? now + (uint64_t)left * NS : VNET_NEVER;
    int network = network_number(f->d->lab, l->network);
    if (network < 0)
        log_line("%s: network '%s' is not in this lab", f->path, l->network);
    else if (vnet_restore_lease(f->d->v, (unsigned)network, &lease, &e) < 0)
        log_line("%s: %s", f->path, e.msg);
}

static void look(void *arg, const struct lease_line *l)
{
    (void)arg;
    (void)l;
}

static void set_aside(const struct lease_file *f, const struct err *why)
{
    AUTO_FREE char *bad = xasprintf("%s.bad", f->path);
    log_line("%s: %s; it is now %s", f->path, why->msg, bad);
    rename(f->path, bad);
}

static void read_file(struct lease_file *f)
{
    struct err e;
    size_t n;
    if (faccessat(f->dir, f->name, F_OK, 0) < 0 && errno == ENOENT)
        return;
    AUTO_FREE char *text = file_read(f->dir, f->name, SIZE_MAX_READ, &n, &e);
    AUTO_FREE char *copy = xstrdup(text); // all or nothing
    if (copy && strlen(text) != n)
        err_set(&e, ERR_FAILED, "it holds a zero byte");
    else if (copy && lease_lines_parse(copy, look, NULL, &e) == 0) {
        lease_lines_parse(text, restore, f, &e);
        return;
    }
    set_aside(f, &e);
}

// --- writing ---

static void tell(struct lease_file *f, unsigned network, unsigned i, const struct vnet_lease *l)
{
    struct told *was = &f->told[(size_t)network * f->d->limits.leases + i];
    if (was->until == l->until && was->address == l->address &&
        memcmp(&was->mac, &l->mac, sizeof l->mac) == 0)
        return;
    *was = (struct told){l->address, l->mac, l->until};
    json_t *event = json_pack("{s:s}", "event", "lease");
    json_t *lease = lease_document(f->d, network, l);
    json_object_update(event, lease);
    json_decref(lease);
    daemon_event(f->d, event);
}

static void put(struct lease_file *f, FILE *out, unsigned network, const struct vnet_lease *l)
{
    struct lease_line line = {.is = *l};
    uint64_t now = clock_ns();
    snprintf(line.network, sizeof line.network, "%s", f->d->lab->networks[network].entry.name);
    // Rounded up: a lease of the future, and of eternity, stays one.
    uint64_t left = l->until > now ? (l->until - now + NS - 1) / NS : 0;
    line.ends = l->until > now ? wall_seconds() + (int64_t)left : 0;
    lease_line_put(out, &line);
}

static int write_file(struct lease_file *f, struct err *e)
{
    const struct daemon *d = f->d;
    AUTO_FREE char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    struct vnet_lease l;
    if (!out)
        return err_sys(e, "cannot write %s", f->path);
    fputs(LEASE_LINES_HEAD, out);
    for (unsigned network = 0; network < d->lab->network_count; network++)
        for (unsigned i = 0; i < d->limits.leases; i++)
            if (vnet_lease(d->v, network, i, &l)) {
                put(f, out, network, &l);
                tell(f, network, i, &l);
            }
    fclose(out);
    return file_write_atomic(f->dir, f->name, text, n, false, e);
}

static void write_changes(struct lease_file *f)
{
    struct err e;
    bool failed = write_file(f, &e) < 0;
    if (failed && !f->failed)
        log_line("leases: %s", e.msg);
    if (!failed)
        f->written = vnet_lease_changes(f->d->v);
    f->failed = failed;
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct lease_file *f = arg;
    f->waits = false; // the turn that follows looks
}

void lease_file_turn(struct lease_file *f)
{
    if (f->waits || vnet_lease_changes(f->d->v) == f->written)
        return;
    int64_t begin = clock_ms();
    write_changes(f);
    int64_t pause = (clock_ms() - begin) * SHARE;
    int64_t least = f->failed ? FAILED_PAUSE_MS : PAUSE_MS;
    pause = pause > least ? pause : least;
    f->waits = true;
    event_add(f->timer, &(struct timeval){.tv_sec = pause / 1000, .tv_usec = pause % 1000 * 1000});
}

struct lease_file *lease_file_open(struct daemon *d, const char *path, struct err *e)
{
    AUTO_FREE char *directory = xstrdup(path);
    *(strrchr(directory, '/') + 1) = 0;
    AUTO_CLOSE int dir = dir_open(AT_FDCWD, directory, e);
    if (dir < 0)
        return NULL;
    struct lease_file *f = xcalloc(1, sizeof *f);
    f->d = d;
    f->path = xstrdup(path);
    f->name = strrchr(f->path, '/') + 1;
    f->dir = TAKE_FD(dir);
    f->timer = evtimer_new(d->base, on_pause_over, f);
    f->told = xcalloc((size_t)d->lab->network_count * d->limits.leases, sizeof *f->told);
    file_sweep_temporaries(f->dir, f->name);
    read_file(f);
    f->written = vnet_lease_changes(d->v);
    return f;
}

void lease_file_close(struct lease_file *f)
{
    if (!f)
        return;
    if (vnet_lease_changes(f->d->v) != f->written)
        write_changes(f);
    event_free(f->timer);
    close(f->dir);
    free(f->told);
    free(f->path);
    free(f);
}
