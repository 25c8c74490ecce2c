// The loop between a TAP and vnet's control socket: ask, wait until vnet goes away, ask again.
#include "vnet/plug/session.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/detach.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "proto/caller.h"
#include "proto/line.h"
#include "proto/unix.h"
#include "vnet/plug/netns.h"

static const struct timeval answer_limit = {.tv_sec = 10};
static const struct timeval again_after = {.tv_usec = 200000};

struct session {
    const struct session_options *o;
    struct tap tap;
    struct event_base *base;
    struct caller *vnet; // the last one, gone or not; NULL before the first
    struct event *timer; // its answer is late, or it is time to look for it again
    bool asking;
    bool in;              // plugged, as far as we know
    bool begun;           // plugged once: from now on vnet may come and go
    int detach;           // for detach_done(), -1
    struct err complaint; // logged last, until it works again
    int result;
    struct err *e;
};

static void end(struct session *s, int result)
{
    s->result = result;
    event_base_loopbreak(s->base);
}

static int connect_vnet(const char *path, struct err *e)
{
    bool absent;
    int fd = unix_connect(path, &absent, e);
    if (fd < 0 && absent)
        return err_set(e, ERR_NOT_RUNNING, "no vnet listens at %s", path);
    if (fd >= 0)
        evutil_make_socket_nonblocking(fd);
    return fd;
}

// At first any trouble is the end. Later vnet is waited for, quietly; what else there is is logged
// once.
static void on_trouble(struct session *s, const struct err *why)
{
    if (!s->begun) {
        *s->e = *why;
        end(s, -1);
        return;
    }
    if (why->code != ERR_NOT_RUNNING && strcmp(why->msg, s->complaint.msg) != 0) {
        log_line("cannot plug %s in: %s", s->tap.name, why->msg);
        s->complaint = *why;
    }
    event_add(s->timer, &again_after);
}

static int begin(struct session *s, const char *network, struct err *e)
{
    printf("vnet: plugged %s into %s\n", s->tap.name, network);
    fflush(stdout);
    if (s->detach >= 0 && detach_done(TAKE_FD(s->detach), e) < 0)
        return -1;
    s->begun = true;
    return 0;
}

static int plugged(struct session *s, const json_t *answer, struct err *e)
{
    json_int_t mtu = json_integer_value(json_object_get(answer, "mtu"));
    const char *name = json_string_value(json_object_get(answer, "network"));
    AUTO_FREE char *network = xstrdup(name ? name : "a network");
    text_clean(network);
    if (tap_up(&s->tap, (unsigned)mtu, e) < 0)
        return -1;
    s->in = true;
    s->complaint = (struct err){0};
    if (!s->begun)
        return begin(s, network, e);
    log_line("plugged %s into %s again", s->tap.name, network);
    return 0;
}

static void on_answer(void *arg, const json_t *answer, const struct err *why)
{
    struct session *s = arg;
    struct err e;
    if (!s->asking) // given up, on_timer()
        return;
    s->asking = false;
    event_del(s->timer);
    if (!answer)
        on_trouble(s, why);
    else if (plugged(s, answer, &e) < 0)
        on_trouble(s, &e);
}

static void on_line(void *arg, const json_t *line)
{
    (void)arg;
    (void)line; // the greeting
}

static void on_lost(void *arg)
{
    struct session *s = arg;
    if (!s->in) // on_answer() has seen to it
        return;
    s->in = false;
    log_line("vnet went away; %s waits for it", s->tap.name);
    event_add(s->timer, &again_after);
}

// Takes the connection.
static void ask(struct session *s, int fd, json_t *args)
{
    const struct caller_handlers handlers = {
        .unpack = line_unpack, .line = on_line, .lost = on_lost, .arg = s, .who = "vnet"};
    caller_free(s->vnet);
    s->vnet = caller_new(s->base, fd, &handlers);
    s->asking = true;
    event_add(s->timer, &answer_limit);
    caller_send(s->vnet, "plug", json_pack("{s:s, s:o}", "verb", "plug", "args", args), s->tap.fd,
                on_answer, s);
}

// NULL where a text is no UTF-8.
static json_t *plug_args(const struct session_options *o, const char *tap)
{
    return json_pack("{s:s, s:s, s:s, s:s*, s:s*}", "kind", "tap", "tap", tap, "mac", o->mac,
                     "name", o->name, "network", o->network);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct session *s = arg;
    struct err e;
    if (s->asking) {
        s->asking = false;
        err_set(&e, ERR_TIMEOUT, "vnet does not answer");
        on_trouble(s, &e);
        return;
    }
    int sock = connect_vnet(s->o->control, &e);
    if (sock < 0) {
        on_trouble(s, &e);
        return;
    }
    tap_drain(&s->tap); // sent into a cable that led nowhere, maybe long ago
    ask(s, sock, plug_args(s->o, s->tap.name));
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
    (void)sig;
    (void)what;
    end(arg, 0);
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct session *s = arg;
    if (!tap_gone(&s->tap))
        return;
    err_set(s->e, ERR_FAILED, "interface '%s' was removed", s->tap.name);
    end(s, -1);
}

static int run(struct session *s, int sock)
{
    signal(SIGPIPE, SIG_IGN); // who reads our log may go
    s->base = event_base_new();
    s->timer = evtimer_new(s->base, on_timer, s);
    struct event *events[] = {
        evsignal_new(s->base, SIGINT, on_signal, s),
        evsignal_new(s->base, SIGTERM, on_signal, s),
        event_new(s->base, s->tap.news, EV_READ | EV_PERSIST, on_news, s),
    };
    enum { COUNT = sizeof events / sizeof *events };
    for (int i = 0; i < COUNT; i++)
        event_add(events[i], NULL);
    ask(s, sock, plug_args(s->o, s->tap.name));
    event_base_dispatch(s->base);
    s->asking = false;
    caller_free(s->vnet);
    for (int i = 0; i < COUNT; i++)
        event_free(events[i]);
    event_free(s->timer);
    event_base_free(s->base);
    return s->result;
}

int session_run(const struct session_options *o, struct err *e)
{
    struct mac mac;
    if (mac_parse(o->mac, &mac, e) < 0 || (o->tap && interface_name_check(o->tap, e) < 0))
        return -1;
    json_t *args = plug_args(o, "");
    json_decref(args);
    if (!args)
        return err_set(e, ERR_USAGE, "the name or the network's name is no UTF-8");
    AUTO_CLOSE int detach = o->detach ? detach_begin(e) : -1;
    if (o->detach && detach < 0)
        return -1;
    // Before the namespaces are others: root may reach a socket that a namespace's root does not.
    AUTO_CLOSE int sock = connect_vnet(o->control, e);
    if (sock < 0 || (o->netns && netns_enter(o->netns, e) < 0))
        return -1;
    struct session s = {.o = o, .detach = TAKE_FD(detach), .e = e};
    if (tap_open(o->tap, &mac, &s.tap, e) < 0)
        return -1;
    int result = run(&s, TAKE_FD(sock));
    tap_close(&s.tap);
    return result;
}
