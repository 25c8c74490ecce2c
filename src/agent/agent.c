// tailmac-agent: the part of tailmac inside the guest. Serves Host over a virtio-serial port.
//
// The port needs care. While Host has its end closed, poll reports POLLHUP without end, so the
// port is then left out of poll for a growing while; SIGIO, which virtio sends when Host opens
// its end, cuts the wait short. (Only then: a signal costs a guest under emulation more than what
// it tells of.) When the device is not there (yet), it is looked for again and again.
#include "agent/copy.h"
#include "agent/netlink.h"
#include "agent/port.h"
#include "agent/priority.h"
#include "agent/session.h"
#include "agent/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Milliseconds.
#define HUP_WAIT_MIN 2
#define HUP_WAIT_MAX 200
#define OPEN_WAIT_MIN 5
#define OPEN_WAIT_MAX 500
#define INFO_DELAY 20

#define READS 16 // before others have their turn

struct agent {
    int port;           // -1: none yet
    int events;         // rtnetlink
    bool signals;       // the port sends SIGIO
    int64_t wait;       // how long to leave the port alone next time
    int64_t retry_at;   // leave the port alone until then
    int64_t info_at;    // look at the NICs then; INT64_MAX: nothing has changed
    sigset_t wait_mask; // signals blocked while waiting: SIGIO and SIGCHLD are not
    struct session session;
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void back_off(struct agent *a, int64_t min, int64_t max)
{
    a->wait = a->wait ? a->wait * 2 : min;
    if (a->wait > max)
        a->wait = max;
    a->retry_at = now_ms() + a->wait;
}

static void set_signals(struct agent *a, bool on)
{
    if (a->signals != on)
        port_signal(a->port, on);
    a->signals = on;
}

static void port_lost(struct agent *a)
{
    close(a->port);
    a->port = -1;
    a->signals = false;
    a->wait = 0;
    session_reset(&a->session);
}

static void port_write(struct agent *a)
{
    for (;;) {
        ssize_t n;

        session_fill(&a->session);
        if (!a->session.out_len)
            return;
        n = write(a->port, a->session.out, a->session.out_len);
        if (n <= 0)
            return; // full, or Host is away: poll tells
        session_sent(&a->session, (size_t)n);
    }
}

static void port_find(struct agent *a)
{
    a->port = port_open(WIRE_PORT_NAME);
    if (a->port < 0) {
        back_off(a, OPEN_WAIT_MIN, OPEN_WAIT_MAX);
        return;
    }
    a->wait = a->retry_at = 0;
    session_announce(&a->session);
    port_write(a);
}

// Bytes read; 0 when Host is away; -1 with errno.
static ssize_t port_read(struct agent *a)
{
    size_t room;
    void *to = wire_space(&a->session.in, &room);
    ssize_t n = read(a->port, to, room);

    if (n > 0) {
        wire_added(&a->session.in, (size_t)n);
        session_work(&a->session);
        a->wait = 0;
        set_signals(a, false);
    }
    return n;
}

static void port_ready(struct agent *a, short revents)
{
    ssize_t n = 1;

    // The kernel hands out 4 KiB at a time: asking anew costs less than another round of poll.
    for (int i = 0; i < READS && n > 0 && !session_is_full(&a->session); i++) {
        n = port_read(a);
        if (n > 0)
            port_write(a); // commands were started, which Host waits to hear
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        port_lost(a);
        return;
    }
    port_write(a);
    // Requests already read may have waited for the room that writing made.
    session_work(&a->session);
    // Hung up and nothing left to read: virtio says POLLIN even so.
    if (n == 0 || (revents & POLLHUP && session_is_full(&a->session))) {
        set_signals(a, true);
        back_off(a, HUP_WAIT_MIN, HUP_WAIT_MAX); // the first time too short to miss anything
    }
}

static void nics_ready(struct agent *a)
{
    netlink_events_drain(a->events);
    if (a->info_at == INT64_MAX)
        a->info_at = now_ms() + INFO_DELAY;
}

// Does what is due and returns the milliseconds until something else will be, or -1.
static int64_t do_due(struct agent *a)
{
    int64_t now = now_ms();
    int64_t next = INT64_MAX;

    if (a->port < 0 && a->retry_at <= now)
        port_find(a);
    if (a->info_at <= now) {
        a->info_at = INT64_MAX;
        if (session_nics_changed(&a->session) != 0)
            a->info_at = now + INFO_DELAY;
        if (a->port >= 0)
            port_write(a);
    }
    if (a->retry_at > now)
        next = a->retry_at;
    if (a->info_at < next)
        next = a->info_at;
    return next == INT64_MAX ? -1 : next - now;
}

// SIGIO: something happened on the port. SIGCHLD: a command ended.
static void signalled(struct agent *a)
{
    if (a->port >= 0)
        a->retry_at = 0;
    commands_reap(&a->session.commands);
}

static void wait_and_serve(struct agent *a)
{
    static struct pollfd p[2 + COMMANDS_POLL_MAX];
    int64_t ms = do_due(a);
    struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    bool leave_port = a->port < 0 || a->retry_at > now_ms();
    unsigned watched = commands_poll(&a->session.commands, p + 2);

    p[0] = (struct pollfd){.fd = a->events, .events = POLLIN};
    p[1] = (struct pollfd){.fd = leave_port ? -1 : a->port,
                           .events = session_is_full(&a->session) ? 0 : POLLIN};
    if (a->session.out_len)
        p[1].events |= POLLOUT;
    if (ppoll(p, 2 + watched, ms < 0 ? NULL : &limit, &a->wait_mask) < 0) {
        signalled(a);
        if (a->port >= 0)
            port_write(a);
        return;
    }
    commands_ready(&a->session.commands, p + 2, watched);
    // While there is always something to poll for, the signal itself never gets through.
    commands_reap(&a->session.commands);
    if (p[0].revents)
        nics_ready(a);
    if (p[1].revents)
        port_ready(a, p[1].revents);
    else if (a->session.commands.count && a->port >= 0)
        port_write(a);
}

static void on_signal(int sig)
{
    (void)sig; // only to interrupt ppoll
}

static void set_up_signals(struct agent *a)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigset_t block;

    sigaction(SIGIO, &act, NULL);
    sigaction(SIGCHLD, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&block);
    sigaddset(&block, SIGIO);
    sigaddset(&block, SIGCHLD);
    sigprocmask(SIG_BLOCK, &block, &a->wait_mask);
    sigdelset(&a->wait_mask, SIGIO);
    sigdelset(&a->wait_mask, SIGCHLD);
}

static int serve(void)
{
    static struct agent a = {.port = -1, .info_at = INT64_MAX};

    a.events = netlink_events_open();
    if (a.events < 0)
        return -1;
    priority_first();
    session_init(&a.session);
    set_up_signals(&a);
    for (;;)
        wait_and_serve(&a);
}

int main(int argc, char **argv)
{
    bool watch = argc == 2 && !strcmp(argv[1], "watch");

    if (argc == 3 && !strcmp(argv[1], "send"))
        return copy_send(argv[2]);
    if (argc == 4 && !strcmp(argv[1], "receive"))
        return copy_receive(argv[2], argv[3]);
    if (argc > 1 && !watch) {
        fprintf(stderr, "usage: tailmac-agent [watch]\n");
        return 2;
    }
    if ((watch ? watch_run() : serve()) != 0)
        fprintf(stderr, "tailmac-agent: %m\n");
    return 1;
}
