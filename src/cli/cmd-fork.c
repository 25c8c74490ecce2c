// `tailmac fork`: running copies of a saved VM, each with an identity of its own.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/address.h"
#include "cli/cli.h"
#include "cli/fleet.h"
#include "cli/live.h"

struct fork_args {
    int64_t count, timeout;
    const char *name, *group, *network, *mac_base, *wait;
    struct texts macs;
    bool vsock, hold, tie, overcommit;
};

static const struct opt opts[] = {
    {"count", OPT_NUMBER, offsetof(struct fork_args, count), "N", "how many (default 1)"},
    {"name", OPT_TEXT, offsetof(struct fork_args, name), "PREFIX",
     "their ids are PREFIX-1, PREFIX-2, …: the next that are free (default the VM's id)"},
    {"network", OPT_TEXT, offsetof(struct fork_args, network), "SOCK",
     "connect them to this server instead of serverSocket"},
    {"mac-base", OPT_TEXT, offsetof(struct fork_args, mac_base), "MAC",
     "PREFIX-1 has this address, PREFIX-2 the next one, … (else each has a random one)"},
    {"macs", OPT_TEXTS, offsetof(struct fork_args, macs), "MAC,MAC",
     "their addresses, in order; may be given many times"},
    {"vsock", OPT_FLAG, offsetof(struct fork_args, vsock), NULL,
     "each has a vsock device and a CID of its own; their memory is then a copy"},
    {"hold", OPT_FLAG, offsetof(struct fork_args, hold), NULL,
     "make them ready, and let them stand still until 'release'"},
    {"group", OPT_TEXT, offsetof(struct fork_args, group), "G",
     "what 'release' knows them by (default PREFIX)"},
    {"tie", OPT_FLAG, offsetof(struct fork_args, tie), NULL,
     "they end when the process that calls this ends, however it does"},
    {"wait", OPT_TEXT, offsetof(struct fork_args, wait), "WHAT",
     "return when they are ready (default) or have an address", "ready|ip"},
    {"timeout", OPT_DURATION, offsetof(struct fork_args, timeout), "S",
     "give up, and end them all, after this long (default 120)"},
    {"overcommit", OPT_FLAG, offsetof(struct fork_args, overcommit), NULL,
     "also where this host hardly has the memory"},
    {0},
};

enum { DEFAULT_MS = 120000 };

// --- what was asked for ---

// By now the caller may have ended and its pid be another's: then it is not our parent any more.
static int watch_caller(struct err *e)
{
    pid_t caller = getppid();
    AUTO_CLOSE int fd = os_process_watch(caller);
    if (fd < 0 && errno == ENOTSUP)
        return err_set(e, ERR_HOST_CANNOT, "--tie is not possible on this system");
    if (fd < 0 || getppid() != caller || caller == 1)
        return err_set(e, ERR_FAILED, "--tie: the process that called this has ended");
    return TAKE_FD(fd);
}

static int add_mac(struct mac *macs, int64_t n, const char *text, struct err *e)
{
    if (mac_parse(text, &macs[n], e) < 0)
        return err_wrap(e, "--macs");
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&macs[i], &macs[n], sizeof *macs) == 0)
            return err_set(e, ERR_USAGE, "--macs: %s twice", text);
    return 0;
}

// `out` has room for `count`.
static int parse_macs(const struct fork_args *a, int64_t count, struct mac *out, struct err *e)
{
    int64_t n = 0;
    if (a->macs.count > 0 && a->mac_base)
        return err_set(e, ERR_USAGE, "--macs and --mac-base exclude each other");
    for (int i = 0; i < a->macs.count; i++) {
        AUTO_FREE char *list = xstrdup(a->macs.text[i]);
        char *rest = list;
        for (char *one; (one = strsep(&rest, ",")); n++) {
            if (n == count)
                return err_set(e, ERR_USAGE, "--macs: more addresses than forks");
            if (add_mac(out, n, one, e) < 0)
                return -1;
        }
    }
    return a->macs.count == 0 || n == count
               ? 0
               : err_set(e, ERR_USAGE, "--macs: %lld addresses for %lld forks", (long long)n,
                         (long long)count);
}

static int check_names(const struct cli *cli, struct fork_args *a, struct err *e)
{
    a->name = a->name ? a->name : cli->id;
    a->group = a->group ? a->group : a->name;
    if (a->network && socket_path_check(a->network, e) < 0)
        return err_wrap(e, "--network");
    if (id_check(a->name, e) < 0)
        return err_wrap(e, "--name");
    return id_check(a->group, e) < 0 ? err_wrap(e, "--group") : 0;
}

// --- what comes of it ---

static json_t *addresses(const json_t *status)
{
    json_t *texts = json_array();
    for (int v6 = 0; v6 < 2; v6++) {
        size_t i;
        json_t *one;
        json_t *list = addresses_of(status, &(struct address_choice){.v6 = v6});
        json_array_foreach(list, i, one) {
            json_array_append(texts, json_object_get(one, "address"));
        }
        json_decref(list);
    }
    return texts;
}

static const json_t *socket_nic(const json_t *status)
{
    size_t i;
    const json_t *nic;
    json_array_foreach(json_object_get(status, "nics"), i, nic) {
        if (strcmp(json_string_value(json_object_get(nic, "role")), "socket") == 0)
            return nic;
    }
    return NULL;
}

// What a program needs of a fork, out of its status.
static json_t *summary(const json_t *status)
{
    static const char *const keys[] = {"id",      "state",    "pid",     "engine_pid", "control",
                                       "console", "ssh_port", "seconds", "note",       "pooled"};
    json_t *doc = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(status, keys[i]))
            json_object_set(doc, keys[i], json_object_get(status, keys[i]));
    const json_t *nic = socket_nic(status);
    if (nic) {
        json_object_set(doc, "mac", json_object_get(nic, "mac"));
        json_object_set(doc, "nic", json_object_get(nic, "path"));
        json_object_set(doc, "connected", json_object_get(nic, "connected"));
    }
    const json_t *vsock = json_object_get(status, "vsock");
    if (vsock) {
        json_object_set(doc, "vsock", json_object_get(vsock, "path"));
        json_object_set(doc, "cid", json_object_get(vsock, "cid"));
    }
    json_object_set_new(doc, "addresses", addresses(status));
    return doc;
}

static void print_fleet(const json_t *doc)
{
    static const struct column columns[] = {{"id", "ID"},       {"pid", "PID", true},
                                            {"mac", "MAC"},     {"ssh_port", "SSH", true},
                                            {"state", "STATE"}, {"addresses", "ADDRESSES"}};
    print_rows(json_object_get(doc, "forks"), columns, sizeof columns / sizeof *columns);
}

static json_t *document(const struct fleet_plan *plan, const char *base, const json_t *forks,
                        int64_t since)
{
    size_t i;
    const json_t *fork;
    int pooled = 0;
    json_t *list = json_array();
    json_array_foreach(forks, i, fork) {
        json_array_append_new(list, summary(fork));
        pooled += json_is_true(json_object_get(fork, "pooled"));
    }
    return json_pack("{s:s, s:s, s:b, s:f, s:i, s:o}", "base", base, "group", plan->group, "held",
                     plan->hold, "seconds", (double)(clock_ms() - since) / 1000, "pooled", pooled,
                     "forks", list);
}

static int make(const struct cli *cli, const struct fork_args *a, const struct fleet_plan *plan,
                struct err *e)
{
    struct fork_base base;
    json_t *forks = NULL;
    int64_t since = clock_ms();
    if (fork_base_open(&cli->store, cli->id, &base, e) < 0)
        return -1;
    int result = a->overcommit ? 0 : fork_base_admit(&base, plan->count, a->vsock, e);
    if (result == 0)
        result = fleet_start(&base, plan, &forks, e);
    fork_base_close(&base);
    if (result == 0)
        cli_print(cli, document(plan, cli->id, forks, since), print_fleet);
    json_decref(forks);
    return result;
}

static int run_fork(struct cli *cli, void *args, struct err *e)
{
    struct fork_args *a = args;
    struct mac base;
    int64_t count = a->count < 0 ? 1 : a->count;
    if (count < 1 || count > FLEET_MAX)
        return err_set(e, ERR_USAGE, "--count is not from 1 to %d", FLEET_MAX);
    AUTO_FREE struct mac *macs = xcalloc((size_t)count, sizeof *macs);
    if (check_names(cli, a, e) < 0 || parse_macs(a, count, macs, e) < 0)
        return -1;
    if (a->mac_base && mac_parse(a->mac_base, &base, e) < 0)
        return err_wrap(e, "--mac-base");
    bool ip = a->wait && strcmp(a->wait, "ip") == 0;
    if (a->hold && ip)
        return err_set(e, ERR_USAGE, "fork: forks that --hold holds get no address");
    AUTO_CLOSE int tie_fd = a->tie ? watch_caller(e) : -1;
    if (a->tie && tie_fd < 0)
        return -1;
    interrupt_catch();
    const struct fleet_plan plan = {
        .count = count,
        .prefix = a->name,
        .group = a->group,
        .network = a->network,
        .macs = a->macs.count > 0 ? macs : NULL,
        .base = a->mac_base ? &base : NULL,
        .vsock = a->vsock,
        .hold = a->hold,
        .addresses = ip,
        .tie_fd = tie_fd,
        .deadline = clock_ms() + (a->timeout < 0 ? DEFAULT_MS : a->timeout),
    };
    return make(cli, a, &plan, e) < 0 ? err_wrap(e, "cannot fork VM '%s'", cli->id) : 0;
}

const struct command cmd_fork = {
    .name = "fork",
    .summary = "Run copies of a saved VM, each with an identity of its own",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct fork_args),
    .run = run_fork,
};
