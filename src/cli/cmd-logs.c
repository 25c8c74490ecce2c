// `tailmac logs`: what Host, the engine and the guest's console wrote.
#include "base/interrupt.h"
#include "cli/cli.h"
#include "cli/follow.h"

struct logs_args {
    bool console, engine, follow;
    int64_t lines;
};

static const struct opt opts[] = {
    {"console", OPT_FLAG, offsetof(struct logs_args, console), NULL,
     "the guest's console instead of Host's log"},
    {"engine", OPT_FLAG, offsetof(struct logs_args, engine), NULL,
     "what the engine wrote instead of Host's log"},
    {"follow", OPT_FLAG, offsetof(struct logs_args, follow), NULL,
     "go on until ^C or the end of the VM", NULL, 'f'},
    {"lines", OPT_NUMBER, offsetof(struct logs_args, lines), "N", "only the last N lines", NULL,
     'n'},
    {0},
};

static int run_logs(struct cli *cli, void *args_, struct err *e)
{
    const struct logs_args *args = args_;
    const char *name = args->console ? VM_CONSOLE_LOG : args->engine ? VM_ENGINE_LOG : VM_HOST_LOG;
    if (args->console && args->engine)
        return err_set(e, ERR_USAGE, "--console and --engine exclude each other");
    struct follow *log = follow_open(&cli->store, cli->id, name, args->lines, e);
    if (!log)
        return -1;
    follow_print(log);
    if (args->follow) {
        interrupt_catch();
        follow_until_stopped(log);
    }
    follow_close(log);
    return 0;
}

const struct command cmd_logs = {
    .name = "logs",
    .summary = "Show what Host, the engine or the guest's console wrote",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct logs_args),
    .run = run_logs,
};
