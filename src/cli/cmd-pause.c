// `tailmac pause` and `tailmac resume`: let the guest stand still, and go on. `resume` is also the
// way out of an io-error, once there is room on the disk again.
#include <stdio.h>

#include "cli/cli.h"
#include "cli/live.h"

enum { CALL_MS = 20000 };

static void print_state(const json_t *doc)
{
    printf("%s: %s\n", json_string_value(json_object_get(doc, "id")),
           json_string_value(json_object_get(doc, "state")));
}

static int call(struct cli *cli, const char *verb, struct err *e)
{
    json_t *answer = live_call(&cli->store, cli->id, verb, NULL, CALL_MS, e);
    if (!answer)
        return -1;
    json_decref(answer);
    cli_print(cli, live_status(&cli->store, cli->id), print_state);
    return 0;
}

static int run_pause(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    return call(cli, "pause", e);
}

static int run_resume(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    return call(cli, "resume", e);
}

const struct command cmd_pause = {
    .name = "pause",
    .summary = "Let a running guest stand still",
    .id = ID_REQUIRED,
    .run = run_pause,
};

const struct command cmd_resume = {
    .name = "resume",
    .summary = "Let a paused guest, or one whose disk was full, go on",
    .id = ID_REQUIRED,
    .run = run_resume,
};
