// `tailmac status`: everything about one VM as one document.
#include "cli/cli.h"
#include "cli/live.h"

static int run_status(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    struct vm vm;
    if (vm_open_unread(&cli->store, cli->id, LOCK_NONE, &vm, e) < 0)
        return -1;
    vm_close(&vm);
    json_t *status = live_look(&cli->store, cli->id);
    if (json_object_get(status, "error"))
        cli->exit_code = ERR_FAILED;
    cli_print(cli, status, print_object);
    return 0;
}

const struct command cmd_status = {
    .name = "status",
    .summary = "Show everything about one VM",
    .id = ID_REQUIRED,
    .run = run_status,
};
