// `tailmac clone`: a copy of a VM at rest, its saved state included.
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/interrupt.h"
#include "cli/cli.h"
#include "cli/live.h"
#include "cli/progress.h"
#include "vm/disk.h"
#include "vm/fork.h"
#include "vm/layers.h"
#include "vm/parts.h"
#include "vm/saved.h"

struct clone_args {
    const char *target;
    bool linked, fresh, sync;
};

static const struct opt opts[] = {
    {"target-id", OPT_TEXT, offsetof(struct clone_args, target), "ID",
     "the copy (or the second plain argument)", NULL, 0},
    {"linked", OPT_FLAG, offsetof(struct clone_args, linked), NULL,
     "a disk that holds only what differs from the source's, which can then not run", NULL, 0},
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

static int link_disk(const struct vm *source, const struct layers *from, int dirfd, struct err *e)
{
    const struct layer *top = &from->of[0];
    struct disk_link link = {.format = top->format};
    if (from->count == LAYERS_MAX)
        return err_set(e, ERR_FAILED,
                       "%d disks are linked to each other already, which is the most", LAYERS_MAX);
    if (facts_of(top->fd, &link.stamp) < 0)
        return err_sys(e, "cannot read %s", VM_DISK);
    snprintf(link.parent, sizeof link.parent, "%s", source->id);
    return disk_make_linked(dirfd, top->size, &link, e);
}

// A disk of its own: linked to the source's, or where that is linked itself, whole.
static int new_disk(const struct vm *source, bool linked, const struct layers *from,
                    struct new_vm *draft, struct vm_config *c, struct err *e)
{
    int made = linked ? link_disk(source, from, draft->fd, e)
                      : disk_make_whole(draft->fd, VM_DISK, "qcow2", from, e);
    if (made < 0 || interrupt_check(e) < 0 || config_set(c, "diskFormat", "qcow2", e) < 0)
        return -1;
    return saved_rebind(source, draft->fd, e);
}

static int fill(const struct vm *source, const struct layers *from, struct new_vm *draft,
                const struct clone_args *args, struct vm_config *c, struct err *e)
{
    struct progress p = {.what = "copying"};
    if (args->linked && from->of[0].fd < 0)
        return err_set(e, ERR_FAILED, "it has no disk to link to");
    bool own = args->linked || from->count > 1;
    static const char *const disk[] = {VM_DISK, NULL};
    int result = parts_copy(source->fd, draft->fd, own ? disk : NULL, progress_show, &p, e);
    progress_end(&p);
    if (result < 0 || (own && new_disk(source, args->linked, from, draft, c, e) < 0))
        return -1;
    return args->fresh ? fresh_identity(draft, c, e) : 0;
}

// The source's disk and those below it stay as they are meanwhile.
static int fill_and_publish(const struct vm *source, struct new_vm *draft,
                            const struct clone_args *args, struct vm_config *c, struct err *e)
{
    struct layers from;
    if (layers_open(source->store, source->id, NULL, &from, e) < 0)
        return -1;
    int result = fill(source, &from, draft, args, c, e);
    if (result == 0)
        result = new_vm_publish(draft, c, args->sync, e);
    layers_close(&from);
    return result;
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

// --- a fork ---

enum { INTERRUPT_MS = 100 };

// Until Host has answered: it goes on, or gives up, by itself.
static int wait_until_kept(struct client_conn *host, json_int_t request, struct err *e)
{
    json_t *ok = NULL;
    bool gone = false;
    int answered = 0;
    while (answered == 0 && interrupt_check(e) == 0) {
        struct pollfd p = {.fd = client_fd(host), .events = POLLIN};
        if (poll(&p, 1, INTERRUPT_MS) > 0)
            answered = client_answer(host, request, &ok, &gone, e);
    }
    json_decref(ok);
    if (gone && answered < 0)
        err_set(e, ERR_FAILED, "the fork ended meanwhile");
    return answered > 0 ? 0 : -1;
}

static int keep_in(const struct vm *fork, const struct new_vm *draft, bool sync, struct err *e)
{
    struct client_conn *host = live_connect(fork->store, fork->id, e);
    if (!host)
        return -1;
    json_t *order = json_pack("{s:s, s:b}", "id", draft->id, "sync", sync);
    json_int_t request = client_send(host, "keep", order, &draft->fd, 1, e);
    int result = request < 0 ? -1 : wait_until_kept(host, request, e);
    client_close(host);
    return result;
}

// What its base is made of is copied; its Host adds what is its own.
static int fill_from_fork(const struct vm *fork, const struct vm *base, struct new_vm *draft,
                          const struct clone_args *args, struct vm_config *c, struct err *e)
{
    static const char *const own[] = {VM_DISK, VM_AUX, VM_SAVED, VM_RETIRED, NULL};
    if (parts_copy(base->fd, draft->fd, own, NULL, NULL, e) < 0 ||
        keep_in(fork, draft, args->sync, e) < 0)
        return -1;
    if (c->disk_format && config_set(c, "diskFormat", "qcow2", e) < 0)
        return -1;
    return args->fresh ? fresh_identity(draft, c, e) : 0;
}

static int clone_fork_to(struct cli *cli, const struct vm *fork, const struct vm *base,
                         const char *target, const struct clone_args *args, struct err *e)
{
    struct new_vm draft;
    struct vm_config c;
    if (new_vm_begin(&cli->store, target, &draft, e) < 0)
        return -1;
    config_copy(&fork->config, target, &c);
    int result = fill_from_fork(fork, base, &draft, args, &c, e);
    if (result == 0)
        result = new_vm_publish(&draft, &c, args->sync, e);
    if (result == 0)
        cli_print(cli, config_to_json(&c), print_cloned);
    new_vm_abandon(&draft);
    config_free(&c);
    return result;
}

// A running one becomes a VM with its state saved, and goes on.
static int clone_fork(struct cli *cli, const char *target, const struct clone_args *args,
                      struct err *e)
{
    struct vm fork;
    struct vm base = {.fd = -1, .lock_fd = -1};
    if (args->linked)
        return err_set(e, ERR_USAGE, "clone: nothing can be linked to a fork's disk");
    if (vm_open(&cli->store, cli->id, LOCK_NONE, &fork, e) < 0)
        return -1;
    json_t *facts = fork_facts(&fork, e);
    const char *id = json_string_value(json_object_get(facts, "base"));
    int result = facts ? vm_open(&cli->store, id, LOCK_SHARED, &base, e) : -1;
    if (result == 0)
        result = clone_fork_to(cli, &fork, &base, target, args, e);
    json_decref(facts);
    vm_close(&base);
    vm_close(&fork);
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
    if (!target)
        return -1;
    interrupt_catch();
    if (fork_exists(&cli->store, cli->id))
        return clone_fork(cli, target, args, e) < 0
                   ? err_wrap(e, "cannot keep fork '%s' as '%s'", cli->id, target)
                   : 0;
    if (vm_open(&cli->store, cli->id, LOCK_SHARED, &source, e) < 0)
        return -1;
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
