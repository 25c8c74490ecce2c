// The egress process: what it is told at first, then frames, until the daemon is gone.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "proto/fds.h"
#include "vnet/egress/confine.h"
#include "vnet/egress/egress.h"
#include "vnet/egress/message.h"
#include "vnet/egress/outbox.h"
#include "vnet/egress/services.h"
#include "vnet/egress/stack.h"
#include "vnet/egress/translate.h"
#include "vnet/vnet.h"

enum { BATCH = 32, FILES_MAX = 4096 };
enum { OWN_FDS = 2 }; // beside those of services

struct egress {
    int fd, inlets;
    bool ending;
    struct translation translation;
    char *paths[FORWARDS_MAX]; // of forwards to unix sockets
    struct services *services;
    struct pollfd own[OWN_FDS + SERVICE_FDS_MAX];
    struct err failed; // before START
    struct outbox *out;
    struct stack *stack; // NULL until START
    uint64_t refused;    // of its flows, as the daemon was told
    struct os_datagram in[BATCH];
    uint8_t data[BATCH][VNET_FRAME_MAX + 1];
};

// --- what the daemon says ---

static void say(struct egress *x, enum egress_kind kind, const char *text)
{
    struct egress_message m = egress_message(kind);
    snprintf(m.text, sizeof m.text, "%.*s", (int)sizeof m.text - 1, text);
    outbox_put(x->out, &m, sizeof m);
}

static void fail(struct egress *x, const struct err *why)
{
    say(x, EGRESS_FAILED, why->msg);
    x->ending = true;
}

static int begin(struct egress *x, const struct egress_message *m, struct err *e)
{
    if (*x->failed.msg) {
        *e = x->failed;
        return -1;
    }
    x->stack = stack_new(m->mtu, &x->translation, x->out);
    for (unsigned i = 0; i < x->translation.forward_count; i++)
        if (x->paths[i] &&
            stack_add_path(x->stack, EGRESS_PATHS, (uint16_t)(i + 1), x->paths[i], e) < 0)
            return -1;
    return confine(e);
}

static void on_start(struct egress *x, const struct egress_message *m)
{
    struct err e;
    if (x->stack)
        return;
    if (begin(x, m, &e) < 0)
        fail(x, &e);
    else
        say(x, EGRESS_READY, "");
}

static void on_policy(struct egress *x, const struct egress_message *m)
{
    struct translation *t = &x->translation;
    t->open = m->open;
    t->network_count = m->network_count;
    for (unsigned i = 0; i < m->network_count; i++) {
        t->networks[i].address = m->networks[i].address;
        t->networks[i].mask = m->networks[i].mask;
    }
}

static void on_resolver(struct egress *x, const struct egress_message *m)
{
    translation_resolve(&x->translation, m->host, m->host_port);
}

static void forward_to_path(struct egress *x, const struct egress_message *m, const char *path)
{
    unsigned number = x->translation.forward_count;
    const struct forward f = {.protocol = m->protocol,
                              .lab = m->lab,
                              .lab_port = m->lab_port,
                              .host = EGRESS_PATHS,
                              .host_port = (uint16_t)(number + 1)};
    if (translation_add(&x->translation, &f))
        x->paths[number] = xstrdup(path);
}

static void on_forward(struct egress *x, const struct egress_message *m)
{
    const struct forward f = {.protocol = m->protocol,
                              .lab = m->lab,
                              .lab_port = m->lab_port,
                              .host = m->host,
                              .host_port = m->host_port};
    if (*m->text)
        forward_to_path(x, m, m->text);
    else
        translation_add(&x->translation, &f);
}

static void serve(struct egress *x, const struct egress_message *m, const char *page)
{
    char path[SERVICE_PATH];
    if (!x->stack && services_add(x->services, m->number, page, path, &x->failed) == 0)
        forward_to_path(x, m, path);
}

static void on_page(struct egress *x, const struct egress_message *m)
{
    serve(x, m, m->text);
}

static void on_dns(struct egress *x, const struct egress_message *m)
{
    serve(x, m, NULL);
}

static void on_answer(struct egress *x, const struct egress_message *m)
{
    services_answer(x->services, m->token, m->size, m->at, m->data, m->n);
}

static void ask(void *arg, unsigned network, uint64_t token, const uint8_t *query, size_t n)
{
    struct egress *x = arg;
    struct egress_message m = egress_message(EGRESS_QUERY);
    if (n > sizeof m.data)
        return;
    m.number = network;
    m.token = token;
    m.n = (uint32_t)n;
    memcpy(m.data, query, n);
    outbox_put(x->out, &m, sizeof m);
}

static void (*const heard[EGRESS_KINDS])(struct egress *x, const struct egress_message *m) = {
    [EGRESS_START] = on_start,     [EGRESS_POLICY] = on_policy, [EGRESS_RESOLVER] = on_resolver,
    [EGRESS_FORWARD] = on_forward, [EGRESS_PAGE] = on_page,     [EGRESS_DNS] = on_dns,
    [EGRESS_ANSWER] = on_answer,
};

static void hear(struct egress *x, const uint8_t *data, size_t n)
{
    struct egress_message m;
    if (!egress_is_message(data, n)) {
        if (x->stack)
            stack_input(x->stack, data, n);
    } else if (egress_read(data, n, &m) && heard[m.kind]) {
        heard[m.kind](x, &m);
    }
}

static void listen_to_daemon(struct egress *x)
{
    for (int i = 0; i < BATCH; i++)
        x->in[i] = (struct os_datagram){.data = x->data[i], .size = sizeof x->data[i]};
    int n = os_receive(x->fd, x->in, BATCH, false);
    x->ending = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    for (int i = 0; i < n && !x->ending; i++) {
        if (x->in[i].size == 0)
            x->ending = true; // end of file
        else
            hear(x, x->data[i], x->in[i].size);
    }
    if (x->stack)
        stack_pass(x->stack);
}

static void hear_inlets(struct egress *x)
{
    struct egress_inlet m;
    struct fds fds = {0};
    struct err e;
    bool whole = fds_receive(x->inlets, &m, sizeof m, &fds) == sizeof m;
    if (!whole)
        x->ending = true;
    else if (m.ends)
        stack_remove_inlet(x->stack, &m);
    else if (stack_add_inlet(x->stack, &m, fds.count ? fds.fd[0] : -1, &e) < 0)
        fail(x, &e);
    fds_close(&fds);
}

// --- the loop ---

static void tell_refused(struct egress *x)
{
    struct egress_message m = egress_message(EGRESS_REFUSED);
    m.token = x->stack ? stack_refused(x->stack) : 0;
    if (m.token != x->refused && outbox_put(x->out, &m, sizeof m))
        x->refused = m.token;
}

static void turn(struct egress *x, bool *waits)
{
    x->own[0] = (struct pollfd){.fd = x->fd, .events = (short)(POLLIN | (*waits ? POLLOUT : 0))};
    x->own[1] = (struct pollfd){.fd = x->stack ? x->inlets : -1, .events = POLLIN};
    struct pollfd *fds = x->own;
    nfds_t count = services_fill(x->services, x->own, OWN_FDS);
    int timeout = -1;
    if (x->stack)
        fds = stack_fill(x->stack, x->own, count, &count, &timeout);
    bool failed = poll(fds, count, timeout) < 0;
    short happened = failed ? 0 : fds[0].revents;
    bool inlets = !failed && fds[1].revents;
    if (x->stack)
        stack_serve(x->stack, failed);
    if (!failed)
        services_serve(x->services, fds + OWN_FDS);
    if (happened & ~POLLOUT)
        listen_to_daemon(x);
    if (inlets)
        hear_inlets(x);
    tell_refused(x);
    int left = outbox_flush(x->out);
    *waits = left > 0;
    x->ending |= left < 0;
}

// Each flow has a descriptor.
static void allow_many_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_MAX ? limit.rlim_max : FILES_MAX;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// A terminal's ^C is for the daemon, which ends this process by closing the socket.
static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
}

int egress_main(int fd, int inlets)
{
    struct egress *x = xcalloc(1, sizeof *x);
    bool waits = false;
    ignore_signals();
    allow_many_files();
    x->fd = fd;
    x->inlets = inlets;
    x->out = outbox_new(fd, VNET_FRAME_MAX);
    x->services = services_new(&(struct service_hooks){ask, x});
    while (!x->ending)
        turn(x, &waits);
    if (x->stack)
        stack_free(x->stack);
    services_free(x->services);
    outbox_free(x->out);
    for (unsigned i = 0; i < FORWARDS_MAX; i++)
        free(x->paths[i]);
    free(x);
    return 0;
}
