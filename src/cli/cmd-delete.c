// `tailmac delete`.
#include <stdio.h>

#include "cli/cli.h"
#include "cli/live.h"
#include "vm/children.h"

struct delete_args {
    bool force;
};

static const struct opt opts[] = {
    {"force", OPT_FLAG, offsetof(struct delete_args, force), NULL,
     "also when it runs (it is halted) or its config.json cannot be read", NULL, 0},
    {0},
};

static void print_deleted(const json_t *doc)
{
    printf("deleted %s\n", json_string_value(json_object_get(doc, "deleted")));
}

enum { HALT_MS = 20000 };

static int open_to_delete(struct cli *cli, bool force, struct vm *vm, struct err *e)
{
    if (force) {
        json_t *halted = live_call(&cli->store, cli->id, "halt", NULL, HALT_MS, e);
        json_decref(halted);
        if (!halted && e->code != ERR_NOT_RUNNING)
            return -1;
        return vm_open_unread(&cli->store, cli->id, LOCK_EXCLUSIVE, vm, e);
    }
    if (vm_open(&cli->store, cli->id, LOCK_EXCLUSIVE, vm, e) == 0)
        return 0;
    if (e->code == ERR_FAILED)
        err_wrap(e, "not deleted (--force does it all the same)");
    return -1;
}

static bool is_fork(const struct cli *cli)
{
    struct vm vm;
    struct err ignored;
    if (vm_open_unread(&cli->store, cli->id, LOCK_NONE, &vm, &ignored) < 0)
        return false;
    bool fork = vm.fork;
    vm_close(&vm);
    return fork;
}

// It is no more than what runs, and goes with its end.
static int delete_fork(const struct cli *cli, struct err *e)
{
    json_t *halted = live_call(&cli->store, cli->id, "halt", NULL, HALT_MS, e);
    json_decref(halted);
    if (!halted && e->code != ERR_NOT_RUNNING)
        return -1;
    cli_print(cli, json_pack("{s:s}", "deleted", cli->id), print_deleted);
    return 0;
}

static int run_delete(struct cli *cli, void *args_, struct err *e)
{
    const struct delete_args *args = args_;
    struct vm vm;
    if (is_fork(cli))
        return delete_fork(cli, e);
    if (open_to_delete(cli, args->force, &vm, e) < 0)
        return -1;
    int result = children_refuse(&cli->store, cli->id, e);
    if (result == 0)
        result = vm_delete(&vm, e);
    if (result == 0)
        cli_print(cli, json_pack("{s:s}", "deleted", vm.id), print_deleted);
    vm_close(&vm);
    return result;
}

const struct command cmd_delete = {
    .name = "delete",
    .summary = "Remove a VM",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct delete_args),
    .run = run_delete,
};
