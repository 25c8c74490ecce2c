// `tailmac release`: forks that were held go on, together.
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/live.h"
#include "vm/fork.h"

struct release_args {
    const char *group;
    int64_t timeout;
};

static const struct opt opts[] = {
    {"group", OPT_TEXT, offsetof(struct release_args, group), "G",
     "that 'fork' made, by the name that it told"},
    {"timeout", OPT_DURATION, offsetof(struct release_args, timeout), "S",
     "give up waiting after this long (default 120)"},
    {0},
};

enum {
    DEFAULT_MS = 120000,
    // Each Host is told when it shall be, and then waits for that moment by itself. In this time
    // all are told.
    NOTICE_MS = 10,
    NOTICE_EACH_US = 500,
};

struct held {
    char *id;
    struct client_conn *conn;
    json_int_t request;
};

static bool is_held(const struct store *s, const char *id, const char *group)
{
    json_t *status = live_status(s, id);
    const json_t *fork = json_object_get(status, "fork");
    const char *its = json_string_value(json_object_get(fork, "group"));
    bool held = its && strcmp(its, group) == 0 && json_is_true(json_object_get(fork, "held"));
    json_decref(status);
    return held;
}

struct group {
    struct held *of;
    int count;
};

// All that are held of the group, connected to.
static int find(const struct store *s, const char *name, struct group *g, struct err *e)
{
    char **ids = forks_list(s, NULL);
    size_t all = 0;
    while (ids[all])
        all++;
    int result = 0;
    g->of = xcalloc(all + 1, sizeof *g->of);
    for (char **id = ids; *id && result == 0; id++) {
        if (!is_held(s, *id, name))
            continue;
        struct held *h = &g->of[g->count++];
        *h = (struct held){.id = xstrdup(*id), .conn = live_connect(s, *id, e)};
        result = h->conn ? 0 : -1;
    }
    store_list_free(ids);
    if (result == 0 && g->count == 0)
        return err_set(e, ERR_NOT_RUNNING, "no fork of group '%s' is held", name);
    return result;
}

static void let_go(struct group *g)
{
    for (int i = 0; i < g->count; i++) {
        client_close(g->of[i].conn);
        free(g->of[i].id);
    }
    free(g->of);
}

static int tell_all(const struct group *g, struct err *e)
{
    int64_t notice_us = NOTICE_MS * 1000 + (int64_t)NOTICE_EACH_US * g->count;
    json_int_t at = (json_int_t)clock_ns() + notice_us * 1000;
    for (struct held *h = g->of; h < g->of + g->count; h++) {
        h->request = client_send(h->conn, "release", json_pack("{s:I}", "at", at), NULL, 0, e);
        if (h->request < 0)
            return err_wrap(e, "fork '%s'", h->id);
    }
    return 0;
}

// When it started, by clock_ns(); -1 with *e.
static int64_t hear(const struct held *h, int64_t deadline, struct err *e)
{
    bool gone = false;
    json_t *ok = NULL;
    int answered = 0;
    while (answered == 0) {
        int64_t left = deadline - clock_ms();
        struct pollfd p = {.fd = client_fd(h->conn), .events = POLLIN};
        if (poll(&p, 1, left < 0 ? 0 : (int)left) == 0)
            return err_set(e, ERR_TIMEOUT, "fork '%s' did not answer in time", h->id);
        answered = client_answer(h->conn, h->request, &ok, &gone, e);
    }
    if (answered < 0)
        return err_wrap(e, "fork '%s'", h->id);
    int64_t started = json_integer_value(json_object_get(ok, "started"));
    json_decref(ok);
    return started;
}

// The document of the answer. Those that could not be released keep nobody else from it.
static json_t *hear_all(const struct group *g, int64_t deadline, struct err *e)
{
    json_t *ids = json_array();
    int64_t first = INT64_MAX;
    int64_t last = 0;
    bool failed = false;
    for (int i = 0; i < g->count; i++) {
        int64_t started = hear(&g->of[i], deadline, e);
        failed = failed || started < 0;
        if (started < 0)
            continue;
        first = started < first ? started : first;
        last = started > last ? started : last;
        json_array_append_new(ids, json_string(g->of[i].id));
    }
    if (!failed)
        return json_pack("{s:o, s:f}", "released", ids, "spread", (double)(last - first) / 1e9);
    json_decref(ids);
    return NULL;
}

static void print_released(const json_t *doc)
{
    printf("released %zu, within %.1f ms\n", json_array_size(json_object_get(doc, "released")),
           json_real_value(json_object_get(doc, "spread")) * 1000);
}

static int run_release(struct cli *cli, void *args_, struct err *e)
{
    const struct release_args *args = args_;
    int64_t deadline = clock_ms() + (args->timeout < 0 ? DEFAULT_MS : args->timeout);
    if (!args->group)
        return err_set(e, ERR_USAGE, "release: --group is missing");
    struct group g = {0};
    json_t *doc = NULL;
    if (find(&cli->store, args->group, &g, e) == 0 && tell_all(&g, e) == 0)
        doc = hear_all(&g, deadline, e);
    let_go(&g);
    if (!doc)
        return -1;
    json_object_set_new(doc, "group", json_string(args->group));
    cli_print(cli, doc, print_released);
    return 0;
}

const struct command cmd_release = {
    .name = "release",
    .summary = "Let forks that were held go on, together",
    .opts = opts,
    .args_size = sizeof(struct release_args),
    .run = run_release,
};
