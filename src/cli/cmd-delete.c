// `tailmac delete`.
#include <stdio.h>

#include "cli/cli.h"

struct delete_args {
    bool force;
};

static const struct opt opts[] = {
    {"force", OPT_FLAG, offsetof(struct delete_args, force), NULL,
     "also when its config.json cannot be read", NULL, 0},
    {0},
};

static void print_deleted(const json_t *doc)
{
    printf("deleted %s\n", json_string_value(json_object_get(doc, "deleted")));
}

static int open_to_delete(struct cli *cli, bool force, struct vm *vm, struct err *e)
{
    if (vm_open(&cli->store, cli->id, LOCK_EXCLUSIVE, vm, e) == 0)
        return 0;
    if (e->code != ERR_FAILED)
        return -1;
    if (force)
        return vm_open_unread(&cli->store, cli->id, LOCK_EXCLUSIVE, vm, e);
    return err_wrap(e, "not deleted (--force does it all the same)");
}

static int run_delete(struct cli *cli, void *args_, struct err *e)
{
    const struct delete_args *args = args_;
    struct vm vm;
    if (open_to_delete(cli, args->force, &vm, e) < 0)
        return -1;
    int result = vm_delete(&vm, e);
    if (result == 0)
        cli_print(cli, json_pack("{s:s}", "deleted", vm.id), print_deleted);
    vm_close(&vm);
    return result;
}

const struct command cmd_delete = {
    .name = "delete",
    .summary = "Remove a VM that does not run",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct delete_args),
    .run = run_delete,
};
