// `tailmac wait`: until a VM is running, ready, has an address or is stopped.
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/live.h"

struct wait_args {
    const char *what;
    int64_t timeout;
};

static const struct opt opts[] = {
    {"for", OPT_TEXT, offsetof(struct wait_args, what), "WHAT", "what to wait for (default ready)",
     "running|ready|ip|stopped"},
    {"timeout", OPT_DURATION, offsetof(struct wait_args, timeout), "S",
     "give up after this long (default 120)"},
    {0},
};

enum { DEFAULT_MS = 120000 };

static void print_summary(const json_t *doc)
{
    AUTO_FREE char *summary = live_summary(doc);
    printf("%s: %s\n", json_string_value(json_object_get(doc, "id")), summary);
}

static int run_wait(struct cli *cli, void *args_, struct err *e)
{
    const struct wait_args *args = args_;
    int64_t deadline = clock_ms() + (args->timeout < 0 ? DEFAULT_MS : args->timeout);
    json_t *status =
        live_wait(&cli->store, cli->id, args->what ? args->what : "ready", deadline, e);
    if (!status)
        return -1;
    cli_print(cli, status, print_summary);
    return 0;
}

const struct command cmd_wait = {
    .name = "wait",
    .summary = "Wait until a VM is running, ready, has an address or is stopped",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct wait_args),
    .run = run_wait,
};
