// `tailmac clone`: a copy of a VM at rest, its saved state included.
#include <stdio.h>
#include <string.h>

#include "base/interrupt.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "vm/parts.h"

struct clone_args {
    const char *target;
    bool fresh, sync;
};

static const struct opt opts[] = {
    {"target-id", OPT_TEXT, offsetof(struct clone_args, target), "ID",
     "the copy (or the second plain argument)", NULL, 0},
    {"fresh-identity", OPT_FLAG, offsetof(struct clone_args, fresh), NULL,
     "new MAC addresses and a new machine identity", NULL, 0},
    {"sync", OPT_FLAG, offsetof(struct clone_args, sync), NULL,
     "return when the copy would survive a power cut; else it is as durable as cp's", NULL, 0},
    {0},
};

static int fresh_identity(struct new_vm *draft, struct vm_config *c, struct err *e)
{
    char text[MAC_TEXT];
    const char *const keys[] = {"mac", "ethermac"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct mac mac;
        mac_random(&mac);
        mac_format(&mac, text);
        if (config_set(c, keys[i], text, e) < 0)
            return -1;
    }
    return part_new_identity(draft->fd, e);
}

static int fill_and_publish(const struct vm *source, struct new_vm *draft,
                            const struct clone_args *args, struct vm_config *c, struct err *e)
{
    struct progress p = {.what = "copying"};
    int result = parts_copy(source->fd, draft->fd, progress_show, &p, e);
    progress_end(&p);
    if (result < 0 || (args->fresh && fresh_identity(draft, c, e) < 0))
        return -1;
    return new_vm_publish(draft, c, args->sync, e);
}

static void print_cloned(const json_t *doc)
{
    printf("created %s\n", json_string_value(json_object_get(doc, "vmID")));
}

static int clone_to(struct cli *cli, const struct vm *source, const char *target,
                    const struct clone_args *args, struct err *e)
{
    struct new_vm draft;
    struct vm_config c;
    if (new_vm_begin(&cli->store, target, &draft, e) < 0)
        return -1;
    config_copy(&source->config, target, &c);
    int result = fill_and_publish(source, &draft, args, &c, e);
    if (result == 0)
        cli_print(cli, config_to_json(&c), print_cloned);
    new_vm_abandon(&draft);
    config_free(&c);
    return result;
}

static const char *target_id(const struct cli *cli, const struct clone_args *args, struct err *e)
{
    const char *target = args->target ? args->target : cli->argc > 0 ? cli->argv[0] : NULL;
    if (!target)
        err_set(e, ERR_USAGE, "clone: what is the copy called? Give --target-id ID");
    else if (args->target && cli->argc > 0)
        err_set(e, ERR_USAGE, "clone: unexpected argument '%.80s'", cli->argv[0]);
    else if (id_check(target, e) == 0)
        return target;
    return NULL;
}

static int run_clone(struct cli *cli, void *args_, struct err *e)
{
    const struct clone_args *args = args_;
    struct vm source;
    const char *target = target_id(cli, args, e);
    if (!target || vm_open(&cli->store, cli->id, LOCK_SHARED, &source, e) < 0)
        return -1;
    interrupt_catch();
    int result = clone_to(cli, &source, target, args, e);
    vm_close(&source);
    return result < 0 ? err_wrap(e, "cannot clone VM '%s' to '%s'", cli->id, target) : 0;
}

const struct command cmd_clone = {
    .name = "clone",
    .summary = "Copy a VM, with its saved state and its addresses",
    .plain = "TARGET-ID",
    .id = ID_REQUIRED,
    .max_plain = 1,
    .opts = opts,
    .args_size = sizeof(struct clone_args),
    .run = run_clone,
};
