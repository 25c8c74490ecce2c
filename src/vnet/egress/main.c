// The egress process: what it is told at first, then frames, until the daemon is gone.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "proto/fds.h"
#include "proto/framing.h"
#include "vnet/egress/confine.h"
#include "vnet/egress/egress.h"
#include "vnet/egress/message.h"
#include "vnet/egress/outbox.h"
#include "vnet/egress/services.h"
#include "vnet/egress/stack.h"
#include "vnet/egress/translate.h"
#include "vnet/vnet.h"

enum { FILES_MAX = 4096 };
enum { OWN_FDS = 2 }; // beside those of services

struct egress {
    int frames, messages;
    bool ending;
    struct translation translation;
    char *paths[FORWARDS_MAX]; // of forwards to unix sockets
    struct services *services;
    char page[EGRESS_PAGE_MAX + 1]; // of which parts are still to come
    struct pollfd own[OWN_FDS + SERVICE_FDS_MAX];
    struct err failed; // before START
    struct outbox *out;
    struct stack *stack; // NULL until START
    uint64_t refused;    // of its flows, as the daemon was told
    struct framing in;
};

// --- what the daemon says ---

// False: the daemon has too much to read already.
static bool send_message(const struct egress *x, const struct egress_message *m)
{
    return send(x->messages, m, egress_size(m), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void say(struct egress *x, enum egress_kind kind, const char *text)
{
    struct egress_message m = egress_message(kind);
    snprintf(m.text, sizeof m.text, "%.*s", (int)sizeof m.text - 1, text);
    send_message(x, &m);
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
    x->stack = stack_new(m->mtu, m->bursts, &x->translation, x->out);
    for (unsigned i = 0; i < x->translation.forward_count; i++)
        if (x->paths[i] &&
            stack_add_path(x->stack, EGRESS_PATHS, (uint16_t)(i + 1), x->paths[i], e) < 0)
            return -1;
    return confine(e);
}

static void on_start(struct egress *x, const struct egress_message *m, int fd)
{
    (void)fd;
    struct err e;
    if (x->stack)
        return;
    if (begin(x, m, &e) < 0)
        fail(x, &e);
    else
        say(x, EGRESS_READY, "");
}

static void on_policy(struct egress *x, const struct egress_message *m, int fd)
{
    (void)fd;
    struct translation *t = &x->translation;
    t->open = m->open;
    t->network_count = m->network_count;
    for (unsigned i = 0; i < m->network_count; i++) {
        t->networks[i].address = m->networks[i].address;
        t->networks[i].mask = m->networks[i].mask;
    }
}

static void on_resolver(struct egress *x, const struct egress_message *m, int fd)
{
    (void)fd;
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

static void on_forward(struct egress *x, const struct egress_message *m, int fd)
{
    (void)fd;
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
    if (!x->stack && services_add(x->services, m->number, page, m->text, path, &x->failed) == 0)
        forward_to_path(x, m, path);
}

// Its parts come in order.
static void on_page(struct egress *x, const struct egress_message *m, int fd)
{
    (void)fd;
    if (m->size > EGRESS_PAGE_MAX || m->at > m->size || m->n > m->size - m->at)
        return;
    memcpy(x->page + m->at, m->data, m->n);
    if (m->at + m->n < m->size)
        return;
    x->page[m->size] = 0;
    serve(x, m, x->page);
}

static void on_dns(struct egress *x, const struct egress_message *m, int fd)
{
    (void)fd;
    serve(x, m, NULL);
}

static void on_answer(struct egress *x, const struct egress_message *m, int fd)
{
    (void)fd;
    services_answer(x->services, m->token, m->size, m->at, m->data, m->n);
}

static bool ask(void *arg, unsigned network, uint64_t token, const uint8_t *query, size_t n)
{
    struct egress *x = arg;
    struct egress_message m = egress_message(EGRESS_QUERY);
    if (n > sizeof m.data)
        return false;
    m.number = network;
    m.token = token;
    m.n = (uint32_t)n;
    memcpy(m.data, query, n);
    return send_message(x, &m);
}

static void on_inlet(struct egress *x, const struct egress_message *m, int fd)
{
    struct err e;
    if (x->stack && stack_add_inlet(x->stack, m, fd, &e) < 0)
        fail(x, &e);
}

static void on_inlet_end(struct egress *x, const struct egress_message *m, int fd)
{
    (void)fd;
    if (x->stack)
        stack_remove_inlet(x->stack, m);
}

// `fd` came with it, or -1.
static void (*const heard[EGRESS_KINDS])(struct egress *x, const struct egress_message *m,
                                         int fd) = {
    [EGRESS_START] = on_start,     [EGRESS_POLICY] = on_policy, [EGRESS_RESOLVER] = on_resolver,
    [EGRESS_FORWARD] = on_forward, [EGRESS_PAGE] = on_page,     [EGRESS_DNS] = on_dns,
    [EGRESS_ANSWER] = on_answer,   [EGRESS_INLET] = on_inlet,   [EGRESS_INLET_END] = on_inlet_end,
};

static void hear(struct egress *x)
{
    uint8_t data[sizeof(struct egress_message)];
    struct egress_message m;
    struct fds fds = {0};
    ssize_t n = fds_receive(x->messages, data, sizeof data, &fds);
    x->ending |= n <= 0 && errno != EINTR;
    if (n > 0 && egress_read(data, (size_t)n, &m) && heard[m.kind])
        heard[m.kind](x, &m, fds.count ? fds.fd[0] : -1);
    fds_close(&fds);
}

static void take_frame(void *arg, const uint8_t *frame, size_t n)
{
    stack_input(arg, frame, n);
}

static void take_frames(struct egress *x)
{
    struct err e;
    x->ending |=
        !framing_fill(&x->in, x->frames, &e) || framing_pass(&x->in, take_frame, x->stack, &e) < 0;
    stack_pass(x->stack);
}

// --- the loop ---

static void tell_refused(struct egress *x)
{
    struct egress_message m = egress_message(EGRESS_REFUSED);
    m.token = x->stack ? stack_refused(x->stack) : 0;
    if (m.token != x->refused && send_message(x, &m))
        x->refused = m.token;
}

// Frames come after START.
static void turn(struct egress *x, bool *waits)
{
    const short events = (short)(POLLIN | (*waits ? POLLOUT : 0));
    x->own[0] = (struct pollfd){.fd = x->stack ? x->frames : -1, .events = events};
    x->own[1] = (struct pollfd){.fd = x->messages, .events = POLLIN};
    struct pollfd *fds = x->own;
    nfds_t count = services_fill(x->services, x->own, OWN_FDS);
    int timeout = -1;
    if (x->stack)
        fds = stack_fill(x->stack, x->own, count, &count, &timeout);
    bool failed = poll(fds, count, timeout) < 0;
    bool frames = !failed && fds[0].revents & ~POLLOUT;
    bool messages = !failed && fds[1].revents;
    if (x->stack)
        stack_serve(x->stack, failed);
    if (!failed)
        services_serve(x->services, fds + OWN_FDS);
    if (messages)
        hear(x);
    if (frames)
        take_frames(x);
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

int egress_main(int frames, int messages)
{
    struct egress *x = xcalloc(1, sizeof *x);
    bool waits = false;
    ignore_signals();
    allow_many_files();
    x->frames = frames;
    x->messages = messages;
    framing_init(&x->in);
    x->out = outbox_new(frames);
    x->services = services_new(&(struct service_hooks){ask, x});
    while (!x->ending)
        turn(x, &waits);
    if (x->stack)
        stack_free(x->stack);
    services_free(x->services);
    outbox_free(x->out);
    framing_fini(&x->in);
    for (unsigned i = 0; i < FORWARDS_MAX; i++)
        free(x->paths[i]);
    free(x);
    return 0;
}
