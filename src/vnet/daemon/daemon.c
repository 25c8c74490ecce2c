// The loop around the lab: starting, turns, ending.
#include "vnet/daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/detach.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "proto/datagram.h"
#include "proto/unix.h"
#include "vnet/capture/capture.h"
#include "vnet/daemon/control.h"
#include "vnet/daemon/datagram.h"
#include "vnet/daemon/egress.h"
#include "vnet/daemon/inlets.h"
#include "vnet/daemon/lease-file.h"
#include "vnet/daemon/private.h"
#include "vnet/daemon/stream.h"

// A client that is silent is looked at once a second; one whose MAC another claims, at once, but
// not more often than this.
enum { SWEEP_S = 1, LOOK_NS = 10000000, NOISE_MAX = 20, FILES_MAX = 16384 };
// Control connections beside those that plugs live by.
enum { CALLERS_MAX = 100 };
enum { LOCK_MS = 2000, LOCK_STEP_MS = 5 };
#define WALL_SLACK_NS 1000000u

// --- what the clients do ---

void daemon_event(struct daemon *d, json_t *event)
{
    if (d->control)
        server_event(d->control, event);
    else
        json_decref(event);
}

bool daemon_may_tell(struct daemon *d)
{
    uint64_t second = clock_ns() / 1000000000;
    if (second != d->noise_second)
        d->noise = 0;
    d->noise_second = second;
    return d->noise++ < NOISE_MAX;
}

void daemon_refuse(struct daemon *d, enum refusal why, const char *peer, const struct mac *mac)
{
    char text[MAC_TEXT] = "";
    d->refusals.count[why]++;
    if (!daemon_may_tell(d))
        return;
    if (mac)
        mac_format(mac, text);
    AUTO_FREE char *shown = xstrdup(peer);
    text_clean(shown);
    log_line("refused: %s: %s %s", refusal_name(why), shown, text);
    daemon_event(d, json_pack("{s:s, s:s, s:s, s:s?}", "event", "refused", "reason",
                              refusal_name(why), "peer", shown, "mac", mac ? text : NULL));
}

struct os_datagram *daemon_batch(struct daemon *d)
{
    for (int i = 0; i < PORT_BATCH; i++) {
        d->batch->at[i].data = d->batch->data[i];
        d->batch->at[i].size = sizeof d->batch->data[i];
    }
    return d->batch->at;
}

void daemon_plugged(struct daemon *d, const struct port *p)
{
    if (!d->capture)
        return;
    AUTO_FREE char *name =
        xasprintf("%s/%s", d->lab->networks[p->place.network].entry.name, p->place.name);
    capture_interface(d->capture, p->plug, name);
}

// --- what the lab wants ---

static void on_output(void *arg, unsigned plug, struct frame *f)
{
    const struct daemon *d = arg;
    if (d->ports[plug])
        port_output(d->ports[plug], f);
}

static void on_egress(void *arg, struct frame *f)
{
    const struct daemon *d = arg;
    egress_output(d->egress, f);
}

static void on_dns_answer(void *arg, uint64_t token, const uint8_t *message, size_t n)
{
    const struct daemon *d = arg;
    egress_dns_answer(d->egress, token, message, n);
}

static bool on_guest(void *arg, uint8_t protocol, uint16_t port, struct vnet_guest *out)
{
    const struct daemon *d = arg;
    return inlets_guest(d, protocol, port, out);
}

static void on_trace(void *arg, uint64_t at, unsigned plug, enum vnet_direction direction, int drop,
                     const uint8_t *frame, size_t n)
{
    const struct daemon *d = arg;
    if (d->capture)
        capture_packet(d->capture, at + d->wall, plug, direction, drop, frame, n);
}

// Ends at the end of the turn: the lab is at work.
static void doom(struct daemon *d, struct port *p, const char *why)
{
    p->doomed = why;
    d->any_doomed = true;
}

static bool is_dead(struct port *p)
{
    uint64_t now = clock_ns();
    if (p->doomed || now - p->seen < LOOK_NS)
        return p->doomed;
    if (p->ops->look(p) != PRESENT)
        return true;
    p->seen = now;
    return false;
}

static bool on_may_take(void *arg, struct mac mac, unsigned owner, unsigned claimant)
{
    struct daemon *d = arg;
    struct port *old = d->ports[owner];
    char text[MAC_TEXT];
    bool dead = is_dead(old);
    bool may = dead || d->lab->mac_takeover == LABFILE_ANY;
    if (dead && !old->doomed)
        doom(d, old, "its MAC is at another plug, and nobody is there");
    mac_format(&mac, text);
    if (daemon_may_tell(d))
        daemon_event(d,
                     json_pack("{s:s, s:s, s:i, s:i}", "event", may ? "mac-moved" : "mac-refused",
                               "mac", text, "from", (int)owner, "to", (int)claimant));
    return may;
}

// --- turns ---

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct daemon *d = arg;
    d->timer_fired = true;
    d->armed = VNET_NEVER;
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct daemon *d = arg;
    if (d->egress)
        egress_sweep(d->egress);
    for (unsigned i = 0; i < d->limits.plugs; i++)
        if (d->ports[i] && d->ports[i]->ops->look(d->ports[i]) == ABSENT)
            port_gone(d->ports[i], "nobody is there");
}

static void bury(struct daemon *d)
{
    if (!d->any_doomed)
        return;
    d->any_doomed = false;
    for (unsigned i = 0; i < d->limits.plugs; i++)
        if (d->ports[i] && d->ports[i]->doomed)
            port_gone(d->ports[i], d->ports[i]->doomed);
}

static void arm(struct daemon *d)
{
    uint64_t next = vnet_next(d->v);
    if (next == d->armed)
        return;
    d->armed = next;
    if (next == VNET_NEVER) {
        event_del(d->timer);
        return;
    }
    uint64_t now = clock_ns();
    uint64_t us = next > now ? (next - now + 999) / 1000 : 0;
    event_add(d->timer, &(struct timeval){.tv_sec = (time_t)(us / 1000000),
                                          .tv_usec = (suseconds_t)(us % 1000000)});
}

// A frame and its answer must keep their order in a capture: small differences are not followed.
static void set_wall(struct daemon *d)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t wall = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec - clock_ns();
    if (wall - d->wall + WALL_SLACK_NS > 2 * WALL_SLACK_NS)
        d->wall = wall;
}

static void turn(struct daemon *d)
{
    uint64_t now = clock_ns();
    uint64_t due = vnet_next(d->v);
    d->taken = 0;
    if (d->timer_fired && due <= now)
        lateness_add(&d->lateness, now - due);
    d->timer_fired = false;
    if (d->capture)
        set_wall(d);
    if (due <= now)
        vnet_advance(d->v, now);
    while (!TAILQ_EMPTY(&d->to_flush))
        port_flush(TAILQ_FIRST(&d->to_flush));
    if (d->egress)
        egress_flush(d->egress);
    bury(d);
    if (d->capture)
        capture_flush(d->capture);
    lease_file_turn(d->leases);
    arm(d);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
    (void)what;
    struct daemon *d = arg;
    log_line("signal: %s", strsignal((int)sig));
    d->ending = true;
}

// --- starting ---

// Whoever holds the lock and does not answer was killed a moment ago, or is about to listen.
static bool may_end(const char *control, int64_t deadline)
{
    AUTO_CLOSE int fd = unix_connect_now(control);
    bool answers = fd >= 0 || errno == EAGAIN;
    return !answers && clock_ms() < deadline && poll(NULL, 0, LOCK_STEP_MS) == 0;
}

// Two of one path would take the clients from each other.
static int take_path(struct daemon *d, struct err *e)
{
    const char *path = d->options->listen;
    AUTO_FREE char *lock = xasprintf("%s.lock", path);
    const int64_t deadline = clock_ms() + LOCK_MS;
    do
        d->lock = lock_take(AT_FDCWD, lock, LOCK_EXCLUSIVE, e);
    while (d->lock < 0 && ((e->code == ERR_NO_VM && access(lock, F_OK) == 0) ||
                           (e->code == ERR_BUSY && may_end(d->options->control, deadline))));
    if (d->lock < 0 && e->code == ERR_BUSY)
        return err_set(e, ERR_BUSY, "another vnet listens at %s", path);
    if (d->lock < 0 && e->code == ERR_NO_VM) // as lock_take() calls it
        return err_set(e, ERR_FAILED, "cannot listen at %s: there is no such directory", path);
    if (d->lock < 0)
        return err_wrap(e, "cannot listen at %s", path);
    private_sweep(path);
    return 0;
}

static int refuse_path(const char *path, struct err *e)
{
    return err_set(e, ERR_BUSY, "another program listens at %s", path);
}

static int check_free_stream(const char *path, struct err *e)
{
    AUTO_CLOSE int fd = path ? unix_connect_now(path) : -1;
    bool many_wait = path && fd < 0 && errno == EAGAIN;
    return fd >= 0 || many_wait ? refuse_path(path, e) : 0;
}

static const char *capture_path(const struct daemon *d)
{
    return d->options->capture ? d->options->capture : d->lab->capture_path;
}

static int open_lab(struct daemon *d, struct err *e)
{
    const struct vnet_owner owner = {.output = on_output,
                                     .egress = on_egress,
                                     .dns_answer = on_dns_answer,
                                     .guest = on_guest,
                                     .trace = capture_path(d) ? on_trace : NULL,
                                     .may_take = on_may_take,
                                     .arg = d};
    d->limits = labfile_limits(d->lab);
    d->v = vnet_new(&d->limits, d->lab->seed, &owner);
    d->ports = xcalloc(d->limits.plugs, sizeof(struct port *));
    d->batch = xcalloc(1, sizeof *d->batch);
    queue_share_init(&d->share, &d->limits);
    if (labfile_build(d->lab, d->v, e) < 0)
        return -1;
    AUTO_FREE char *leases = xasprintf("%s.leases", d->options->listen);
    d->leases = lease_file_open(d, leases, e);
    return d->leases ? 0 : -1;
}

static int open_sockets(struct daemon *d, struct err *e)
{
    const struct daemon_options *o = d->options;
    json_t *hello = json_pack("{s:s, s:i, s:i, s:s}", "hello", "tailmac-vnet", "version", 1, "pid",
                              (int)getpid(), "listen", o->listen);
    if ((datagram_answers(o->listen) && refuse_path(o->listen, e) < 0) ||
        check_free_stream(o->listen_stream, e) < 0 || check_free_stream(o->control, e) < 0) {
        json_decref(hello);
        return -1;
    }
    d->control = server_new(d->base, o->control, hello, vnet_verbs, d, e);
    if (!d->control)
        return -1;
    server_on_client_end(d->control, control_client_ended);
    server_allow(d->control, d->limits.plugs + CALLERS_MAX);
    if (o->listen_stream && !(d->stream = stream_new(d, o->listen_stream, e)))
        return -1;
    d->datagram = datagram_new(d, o->listen, e);
    return d->datagram ? 0 : -1;
}

static void on_capture_failed(void *arg, const struct err *why)
{
    struct daemon *d = arg;
    log_line("capture: %s", why->msg);
    daemon_event(d, json_pack("{s:s, s:s}", "event", "capture-failed", "error", why->msg));
}

static int open_capture(struct daemon *d, const char *exe, struct err *e)
{
    const char *path = capture_path(d);
    const struct capture_hooks hooks = {.failed = on_capture_failed, .arg = d};
    if (!path)
        return 0;
    d->capture = capture_start(d->base, exe, path, &hooks, e);
    return d->capture ? 0 : -1;
}

static int open_processes(struct daemon *d, struct err *e)
{
    char dir[4096];
    if (os_exe_dir(dir, sizeof dir) < 0)
        return err_sys(e, "cannot find the vnet program");
    AUTO_FREE char *exe = xasprintf("%s/vnet", dir);
    if (open_capture(d, exe, e) < 0 || inlets_open(d, e) < 0)
        return -1;
    return egress_open(d, exe, e);
}

static void watch_signals(struct daemon *d)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        d->signals[i] = evsignal_new(d->base, numbers[i], on_signal, d);
        event_add(d->signals[i], NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

// Each client has a descriptor of its own.
static void allow_many_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= FILES_MAX)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_MAX ? limit.rlim_max : FILES_MAX;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void open_loop(struct daemon *d)
{
    struct event_config *config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    d->base = event_base_new_with_config(config);
    event_config_free(config);
    d->timer = evtimer_new(d->base, on_timer, d);
    d->armed = VNET_NEVER;
    d->sweep = event_new(d->base, -1, EV_PERSIST, on_sweep, d);
    event_add(d->sweep, &(struct timeval){.tv_sec = SWEEP_S});
    watch_signals(d);
    allow_many_files();
    os_precise_timers();
    if (d->options->realtime && os_realtime() < 0)
        log_line("note: no real-time scheduling: %s", strerror(errno));
}

// Somebody waits for it; not where standard output was closed (EBADF).
static int say_ready(const struct daemon_options *o, struct err *e)
{
    printf("vnet: listening on %s\n", o->listen);
    if (fflush(stdout) < 0 && errno != EBADF)
        return err_sys(e, "cannot say that it listens");
    return 0;
}

static int begin(struct daemon *d, struct err *e)
{
    const struct daemon_options *o = d->options;
    d->lab = o->lab ? labfile_read(o->lab, e) : labfile_default();
    if (!d->lab || (o->detach && (d->ready = detach_begin(e)) < 0) || take_path(d, e) < 0)
        return -1;
    open_loop(d);
    if (open_lab(d, e) < 0 || open_processes(d, e) < 0 || open_sockets(d, e) < 0)
        return -1;
    if (say_ready(o, e) < 0)
        return -1;
    return o->detach ? detach_done(TAKE_FD(d->ready), e) : 0;
}

static void end(struct daemon *d)
{
    struct err e;
    datagram_retire(d->datagram);
    stream_free(d->stream);
    for (unsigned i = 0; d->ports && i < d->limits.plugs; i++)
        if (d->ports[i])
            port_gone(d->ports[i], "vnet ends");
    while (d->closing > 0)
        event_base_loop(d->base, EVLOOP_ONCE);
    datagram_free(d->datagram);
    egress_free(d->egress);
    inlets_free(d->inlets);
    lease_file_close(d->leases);
    if (d->capture && capture_stop(d->capture, &e) < 0)
        log_line("capture: %s", e.msg);
    server_free(d->control);
}

static void free_daemon(struct daemon *d)
{
    free(d->batch);
    free(d->ports);
    vnet_free(d->v);
    labfile_free(d->lab);
    if (d->base) {
        for (size_t i = 0; i < sizeof d->signals / sizeof *d->signals; i++)
            event_free(d->signals[i]);
        event_free(d->sweep);
        event_free(d->timer);
        event_base_free(d->base);
    }
    if (d->lock >= 0) {
        AUTO_FREE char *lock = xasprintf("%s.lock", d->options->listen);
        unlink(lock);
        close(d->lock);
    }
}

int daemon_run(const struct daemon_options *o, struct err *e)
{
    struct daemon d = {.options = o, .lock = -1, .ready = -1, .started = clock_ns()};
    TAILQ_INIT(&d.to_flush);
    int result = begin(&d, e);
    while (result == 0 && !d.ending) {
        event_base_loop(d.base, EVLOOP_ONCE);
        turn(&d);
    }
    end(&d);
    free_daemon(&d);
    return result;
}
