// `tailmac ls`: all VMs of the bundle.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

struct ls_args {
    bool quiet;
};

static const struct opt opts[] = {
    {"quiet", OPT_FLAG, offsetof(struct ls_args, quiet), NULL, "ids only", NULL, 'q'},
    {0},
};

static json_t *describe(const struct store *s, const char *id)
{
    struct vm vm;
    struct err e;
    if (vm_open(s, id, LOCK_NONE, &vm, &e) < 0)
        return json_pack("{s:s, s:s}", "id", id, "error", e.msg);
    json_t *doc = json_pack("{s:s, s:s, s:I}", "id", id, "arch", vm.config.arch, "memorySize",
                            (json_int_t)vm.config.memory_size);
    vm_close(&vm);
    return doc;
}

static void print_table(const json_t *doc)
{
    size_t i;
    json_t *vm;
    json_array_foreach(doc, i, vm) {
        const char *error = json_string_value(json_object_get(vm, "error"));
        printf("%s%s%s\n", json_string_value(json_object_get(vm, "id")), error ? "  " : "",
               error ? error : "");
    }
}

static void print_ids(char *const *ids)
{
    for (; *ids; ids++)
        puts(*ids);
}

static int run_ls(struct cli *cli, void *args_, struct err *e)
{
    const struct ls_args *args = args_;
    char **ids = store_list(&cli->store, e);
    if (!ids)
        return -1;
    if (args->quiet) {
        print_ids(ids);
    } else {
        json_t *doc = json_array();
        for (char **id = ids; *id; id++)
            json_array_append_new(doc, describe(&cli->store, *id));
        cli_print(cli, doc, print_table);
    }
    store_list_free(ids);
    return 0;
}

const struct command cmd_ls = {
    .name = "ls",
    .summary = "List all VMs",
    .opts = opts,
    .args_size = sizeof(struct ls_args),
    .run = run_ls,
};
