// What a guest is given as soon as its agent answers: this host's time and random numbers, MACs,
// and the names that a fork has of its own. A guest that was saved has slept without noticing, and
// copies of it would go on with the same random numbers. One request; two where there are names, so
// that a fork's network waits for no more than what can be seen there.
#include "host/identity.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "host/fork.h"

enum {
    EARLY_MS = 500, // bytes may get lost on the way into a guest that was just restored
    ANSWER_MS = 5000,
    LATE_MS = 100, // an answer after that leaves the clock wrong by up to as much
    TRIES = 5,
    REST_MS = 5, // the NIC is connected meanwhile, and the guest's first frame goes first
};

static void ask(struct host *h);

static json_t *refused_items(const struct settings *s, const struct err *why)
{
    json_t *list = json_array();
    for (int i = 0; i < s->count; i++)
        if (why || !s->list[i].done)
            json_array_append_new(list, json_pack("{s:s, s:s}", "item", s->list[i].key, "error",
                                                  why ? why->msg : s->list[i].detail));
    if (json_array_size(list) > 0)
        return list;
    json_decref(list);
    return NULL;
}

static bool has_names(const struct host *h)
{
    return h->options->hostname || h->options->machine_id;
}

static bool all_set(const struct settings *s)
{
    for (int i = 0; i < s->count; i++)
        if (!s->list[i].done)
            return false;
    return true;
}

// What was set is set.
static void take(struct host *h)
{
    AUTO_FREE char *summary = settings_summary(&h->identity.settings);
    log_line("agent: set %s", summary);
    h->identity.given = true;
    macs_answered(h, &h->identity.settings);
}

// A guest that could not be given everything is of use, too: it is said.
static void finish(struct host *h, const struct err *why)
{
    struct identity *id = &h->identity;
    AUTO_FREE char *summary = settings_summary(&id->settings);
    json_decref(id->refused);
    id->refused = refused_items(&id->settings, why);
    if (why)
        host_note(h, "the guest's identity is not set: %s", why->msg);
    else if (id->refused)
        host_note(h, "the guest's identity is not whole: %s", summary);
    h->identity_right = true;
    if (why)
        macs_answered(h, NULL);
    else
        take(h);
    if (host_ready(h))
        log_line("agent: ready");
    host_tell_agent(h);
    if (h->fork && why)
        fork_nameless(h, why);
    else if (h->fork && host_ready(h))
        fork_ready(h);
}

static void on_rest(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    identity_again(arg);
}

// What the network sees is set.
static void appear(struct host *h)
{
    struct identity *id = &h->identity;
    id->apparent = true;
    macs_answered(h, &id->settings);
    if (!id->rest)
        id->rest = evtimer_new(h->base, on_rest, h);
    event_add(id->rest, &(struct timeval){.tv_usec = REST_MS * 1000});
}

static void on_answer(void *arg, const struct err *why)
{
    struct host *h = arg;
    struct identity *id = &h->identity;
    id->asked = false;
    if (!h->agent || !agent_is_ready(h->agent))
        return; // the session is over, or its beginning got lost
    if (!why)
        settings_log(&id->settings);
    if (!why && has_names(h) && !id->apparent) {
        appear(h);
        return;
    }
    bool late = !why && clock_ms() - id->asked_at > LATE_MS;
    if (late && ++id->tries < TRIES) { // the clock may be wrong, the rest is right
        if (all_set(&id->settings))
            take(h);
        ask(h);
    } else if (why && id->early) {
        ask(h);
    } else {
        finish(h, why);
    }
}

static void add_names(const struct host *h, struct settings *s)
{
    if (h->options->hostname)
        settings_add(s, "hostname", "%s", h->options->hostname);
    if (h->options->machine_id)
        settings_add(s, "machine-id", "%s", h->options->machine_id);
}

static void ask(struct host *h)
{
    struct identity *id = &h->identity;
    struct err e;
    settings_clear(&id->settings);
    settings_add_entropy(&id->settings);
    macs_add(h, &id->settings);
    if (has_names(h) && !id->apparent) {
        if (h->options->hostname)
            settings_add(&id->settings, "nodename", "%s", h->options->hostname);
    } else {
        if (!id->given)
            add_names(h, &id->settings);
        settings_add_clock(&id->settings);
    }
    id->early = !agent_is_ready(h->agent);
    if (!id->early && agent_check_set(h->agent, &e) < 0) {
        finish(h, &e);
        return;
    }
    id->asked = true;
    id->asked_at = clock_ms();
    agent_set(h->agent, &id->settings, id->early ? EARLY_MS : ANSWER_MS, on_answer, h);
}

void identity_begin(struct host *h)
{
    if (h->agent_expected)
        ask(h);
}

void identity_greeted(struct host *h)
{
    h->identity_right = false;
    identity_again(h);
}

void identity_again(struct host *h)
{
    if (!agent_is_ready(h->agent) || h->identity.asked)
        return;
    h->identity.tries = 0;
    ask(h);
}

void identity_reset(struct host *h)
{
    h->identity.given = h->identity.apparent = false;
}

void identity_clear(struct host *h)
{
    settings_clear(&h->identity.settings);
    json_decref(h->identity.refused);
    h->identity.refused = NULL;
    if (h->identity.rest)
        event_free(TAKE_PTR(h->identity.rest));
}
