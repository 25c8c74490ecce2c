// `tailmac stop` and `tailmac halt`: end a VM, with its state saved or without. Both are safe when
// it does not run.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/live.h"

struct stop_args {
    bool no_wait, no_sync, shutdown;
    int64_t timeout;
};

enum { DEFAULT_MS = 120000 };

static const struct opt stop_opts[] = {
    {"no-wait", OPT_FLAG, offsetof(struct stop_args, no_wait), NULL,
     "return when saving has begun"},
    {"no-sync", OPT_FLAG, offsetof(struct stop_args, no_sync), NULL,
     "do not wait until the state would survive a power cut"},
    {"shutdown", OPT_FLAG, offsetof(struct stop_args, shutdown), NULL,
     "have the guest shut down, instead of saving it"},
    {"timeout", OPT_DURATION, offsetof(struct stop_args, timeout), "S",
     "give up waiting after this long (default 120)"},
    {0},
};

static const struct opt halt_opts[] = {
    {"timeout", OPT_DURATION, offsetof(struct stop_args, timeout), "S",
     "give up waiting after this long (default 120)"},
    {0},
};

static void print_end(const json_t *doc)
{
    const char *id = json_string_value(json_object_get(doc, "id"));
    const char *reason = json_string_value(json_object_get(doc, "reason"));
    const char *ended = json_string_value(json_object_get(doc, "ended"));
    const json_t *seconds = json_object_get(doc, "seconds");
    printf("%s: %s", id, ended ? ended : "saving");
    if (reason)
        printf(" (%s)", reason);
    if (ended)
        printf(" in %.2f s", json_real_value(seconds));
    putchar('\n');
}

static void print_rest(const json_t *doc)
{
    AUTO_FREE char *summary = live_summary(doc);
    printf("%s: was not running: %s\n", json_string_value(json_object_get(doc, "id")), summary);
}

static int end(struct cli *cli, const char *verb, json_t *args, int64_t timeout, struct err *e)
{
    int64_t start = clock_ms();
    json_t *ended =
        live_call(&cli->store, cli->id, verb, args, timeout < 0 ? DEFAULT_MS : timeout, e);
    if (!ended)
        return -1;
    json_object_set_new(ended, "id", json_string(cli->id));
    json_object_set_new(ended, "seconds", json_real((double)(clock_ms() - start) / 1000));
    cli_print(cli, ended, print_end);
    return 0;
}

static int finish(struct cli *cli, int result, const char *verb, struct err *e)
{
    if (result == 0)
        return 0;
    if (e->code == ERR_NOT_RUNNING) {
        cli_print(cli, live_status(&cli->store, cli->id), print_rest);
        return 0;
    }
    if (e->code == ERR_TIMEOUT)
        return err_set(e, ERR_TIMEOUT, "VM '%s' did not %s in time; it may still do so", cli->id,
                       verb);
    return -1;
}

static void print_begun(const json_t *doc)
{
    printf("%s: shutting down\n", json_string_value(json_object_get(doc, "id")));
}

// The guest's own doing: its agent only starts it, as a command that outlives this one.
static int shut_down(struct cli *cli, const struct stop_args *args, struct err *e)
{
    int64_t start = clock_ms();
    int64_t limit = args->timeout < 0 ? DEFAULT_MS : args->timeout;
    json_t *order = json_pack("{s:[s], s:b}", "argv", "poweroff", "detach", true);
    json_t *job = live_call(&cli->store, cli->id, "exec", order, limit, e);
    if (!job)
        return e->code == ERR_NOT_RUNNING ? -1 : err_wrap(e, "cannot have the guest shut down");
    json_decref(job);
    if (args->no_wait) {
        cli_print(cli, json_pack("{s:s}", "id", cli->id), print_begun);
        return 0;
    }
    json_t *status = live_wait(&cli->store, cli->id, "stopped", start + limit, e);
    if (!status)
        return -1;
    json_t *doc =
        json_pack("{s:s, s:O?, s:O?, s:f}", "id", cli->id, "ended",
                  json_object_get(status, "ended"), "reason", json_object_get(status, "reason"),
                  "seconds", (double)(clock_ms() - start) / 1000);
    json_decref(status);
    cli_print(cli, doc, print_end);
    return 0;
}

// Its errors tell enough; one that does not run is shut down.
static int finish_shutdown(struct cli *cli, int result, struct err *e)
{
    return result < 0 && e->code == ERR_NOT_RUNNING ? finish(cli, result, "stop", e) : result;
}

static int run_stop(struct cli *cli, void *args_, struct err *e)
{
    const struct stop_args *args = args_;
    if (args->shutdown && args->no_sync)
        return err_set(e, ERR_USAGE, "stop: --no-sync is about saving, which --shutdown does not");
    if (args->shutdown)
        return finish_shutdown(cli, shut_down(cli, args, e), e);
    json_t *order = json_pack("{s:b, s:b}", "sync", !args->no_sync, "wait", !args->no_wait);
    return finish(cli, end(cli, "stop", order, args->timeout, e), "stop", e);
}

static int run_halt(struct cli *cli, void *args_, struct err *e)
{
    const struct stop_args *args = args_;
    return finish(cli, end(cli, "halt", NULL, args->timeout, e), "halt", e);
}

const struct command cmd_stop = {
    .name = "stop",
    .summary = "Save a VM's state and end it; 'run' goes on from there",
    .id = ID_REQUIRED,
    .opts = stop_opts,
    .args_size = sizeof(struct stop_args),
    .run = run_stop,
};

const struct command cmd_halt = {
    .name = "halt",
    .summary = "End a VM at once, without saving",
    .id = ID_REQUIRED,
    .opts = halt_opts,
    .args_size = sizeof(struct stop_args),
    .run = run_halt,
};
