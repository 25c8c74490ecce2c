// `tailmac ls` and `tailmac ps`: all VMs of the bundle with what they do; those that run.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/live.h"

struct ls_args {
    bool quiet;
};

static const struct opt opts[] = {
    {"quiet", OPT_FLAG, offsetof(struct ls_args, quiet), NULL, "ids only", NULL, 'q'},
    {0},
};

static const char *text_of(const json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));
    return text ? text : "-";
}

static int id_width(const json_t *list)
{
    size_t i;
    json_t *vm;
    int width = 2;
    json_array_foreach(list, i, vm) {
        int n = (int)strlen(text_of(vm, "id"));
        width = n > width ? n : width;
    }
    return width;
}

static void print_table(const json_t *list)
{
    size_t i;
    json_t *vm;
    int width = id_width(list);
    printf("%-*s  %-7s  %9s  %-17s  %s\n", width, "ID", "ARCH", "MEMORY", "MAC", "STATE");
    json_array_foreach(list, i, vm) {
        AUTO_FREE char *summary = live_summary(vm);
        const json_t *running = json_object_get(vm, "memory");
        json_int_t bytes =
            json_integer_value(running ? running : json_object_get(vm, "memorySize"));
        const char *parent = json_string_value(json_object_get(vm, "parent"));
        const json_t *pool = json_object_get(vm, "pool");
        printf("%-*s  %-7s  %5lld MiB  %-17s  %s%s%s", width, text_of(vm, "id"),
               text_of(vm, "arch"), (long long)(bytes >> 20), text_of(vm, "mac"), summary,
               parent ? ", linked to " : "", parent ? parent : "");
        if (pool)
            printf(", a pool of %lld",
                   (long long)json_integer_value(json_object_get(pool, "size")));
        putchar('\n');
    }
}

static void print_ids(const json_t *list)
{
    size_t i;
    json_t *id;
    json_array_foreach(list, i, id) {
        puts(json_string_value(id));
    }
}

static int list(struct cli *cli, bool quiet, bool running_only, struct err *e)
{
    char **ids = store_list(&cli->store, e);
    if (!ids)
        return -1;
    json_t *doc = json_array();
    for (char **id = ids; *id; id++) {
        // Names alone: no Host need be asked.
        json_t *status = quiet && !running_only ? NULL : live_status(&cli->store, *id);
        if (status && strcmp(text_of(status, "state"), "gone") == 0) {
            json_decref(status); // a fork that ended meanwhile
            continue;
        }
        if (!running_only || live_is_running(status))
            json_array_append_new(doc, quiet ? json_string(*id) : json_incref(status));
        json_decref(status);
    }
    store_list_free(ids);
    cli_print(cli, doc, quiet ? print_ids : print_table);
    return 0;
}

static int run_ls(struct cli *cli, void *args, struct err *e)
{
    return list(cli, ((const struct ls_args *)args)->quiet, false, e);
}

static int run_ps(struct cli *cli, void *args, struct err *e)
{
    return list(cli, ((const struct ls_args *)args)->quiet, true, e);
}

const struct command cmd_ls = {
    .name = "ls",
    .summary = "List all VMs with their state",
    .opts = opts,
    .args_size = sizeof(struct ls_args),
    .run = run_ls,
};

const struct command cmd_ps = {
    .name = "ps",
    .summary = "List the VMs that run",
    .opts = opts,
    .args_size = sizeof(struct ls_args),
    .run = run_ps,
};
