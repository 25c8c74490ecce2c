// Host: `Host run --id ID …`, the process that owns one running VM, and `Host fork …` with one
// fork. Usually started by `tailmac run` and `tailmac fork`. `Host pool` and `Host reserve` keep
// forks for later (pool.h, reserve.h).
#include <fcntl.h>
#include <popt.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/stdio.h"
#include "host/names.h"
#include "host/pool.h"
#include "host/run.h"
#include "proto/line.h"

struct arguments {
    char *home, *id, *attach_network, *assign_ip, *hostname, *machine_id;
    char machine_id_text[MACHINE_ID_TEXT];
    int headless, disconnected_nic, nat_nic, discard_state, notify_fd, version;
    int hold, lock_fd, tie_fd, size, vsock;
    const char *verb;
};

static int usage(const char *what, const char *detail)
{
    fprintf(stderr, "Host: %s%s%s\nHost: try 'Host --help'\n", what, detail ? ": " : "",
            detail ? detail : "");
    return ERR_USAGE;
}

static const char *find_verb(const char *word)
{
    static const char *const verbs[] = {"run", "fork", "pool", "reserve"};
    for (size_t i = 0; word && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i], word) == 0)
            return verbs[i];
    return NULL;
}

static bool is(const struct arguments *a, const char *verb)
{
    return strcmp(a->verb, verb) == 0;
}

// 0 when `a` is filled, else the exit code + 1.
static int parse(int argc, const char **argv, struct arguments *a)
{
    enum { ONE = POPT_ARGFLAG_ONEDASH };
    const struct poptOption table[] = {
        {"home", 0, POPT_ARG_STRING | ONE, &a->home, 0,
         "the bundle (default $TAILMAC_HOME or ~/VM.bundle)", "DIR"},
        {"id", 0, POPT_ARG_STRING | ONE, &a->id, 0, "the VM to run", "ID"},
        {"headless", 0, POPT_ARG_NONE | ONE, &a->headless, 0, "one NIC: the socket NIC", NULL},
        {"nat-nic", 0, POPT_ARG_NONE | ONE, &a->nat_nic, 0, "headless: the NAT NIC instead", NULL},
        {"disconnected-nic", 0, POPT_ARG_NONE | ONE, &a->disconnected_nic, 0,
         "the socket NIC starts with its cable pulled", NULL},
        {"attach-network", 0, POPT_ARG_STRING | ONE, &a->attach_network, 0,
         "connect the socket NIC to this server instead of serverSocket", "SOCK"},
        {"assign-ip", 0, POPT_ARG_STRING | ONE, &a->assign_ip, 0,
         "what a guest that asks for its address is told", "IP/MASK/GW"},
        {"guest-hostname", 0, POPT_ARG_STRING | ONE, &a->hostname, 0,
         "what the guest is called, before it is ready", "NAME"},
        {"guest-machine-id", 0, POPT_ARG_STRING | ONE, &a->machine_id, 0,
         "the guest's machine-id: 32 hexadecimal digits, or 'new'", "ID"},
        {"discard-state", 0, POPT_ARG_NONE | ONE, &a->discard_state, 0,
         "boot cold; a saved state is removed", NULL},
        {"notify-fd", 0, POPT_ARG_INT | ONE, &a->notify_fd, 0,
         "write one JSON line there when the guest runs, or does not", "N"},
        {"lock-fd", 0, POPT_ARG_INT | ONE, &a->lock_fd, 0, "fork: the lock of its directory", "N"},
        {"hold", 0, POPT_ARG_NONE | ONE, &a->hold, 0,
         "fork: pause the guest once it has its identity", NULL},
        {"tie-fd", 0, POPT_ARG_INT | ONE, &a->tie_fd, 0,
         "fork: end when this process descriptor becomes readable", "N"},
        {"size", 0, POPT_ARG_INT | ONE, &a->size, 0, "pool: how many forks are kept", "N"},
        {"vsock", 0, POPT_ARG_NONE | ONE, &a->vsock, 0,
         "pool and reserve: for forks with a vsock device", NULL},
        {"version", 0, POPT_ARG_NONE | ONE, &a->version, 0, "print the version", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };
    poptContext ctx = poptGetContext("Host", argc, argv, table, 0);
    poptSetOtherOptionHelp(ctx, "run|fork|pool|reserve --id ID [OPTION...]");
    int rc = poptGetNextOpt(ctx);
    int result = 0;
    struct address_plan plan;
    struct err e;
    if (rc < -1)
        result = 1 + usage(poptStrerror(rc), poptBadOption(ctx, 0));
    else if (a->version)
        result = 1 + (puts("Host " TAILMAC_VERSION) < 0);
    else if (!(a->verb = find_verb(poptGetArg(ctx))) || poptPeekArg(ctx))
        result =
            1 + usage("the commands are 'run', 'fork', 'pool' and 'reserve'", poptPeekArg(ctx));
    else if (!a->id)
        result = 1 + usage("--id is missing", NULL);
    else if (is(a, "fork") && a->lock_fd < 0)
        result = 1 + usage("--lock-fd is missing: forks are made by 'tailmac fork'", NULL);
    else if (is(a, "reserve") && a->notify_fd < 0)
        result = 1 + usage("--notify-fd is missing: 'Host pool' makes these", NULL);
    else if (is(a, "pool") && a->size < 1)
        result = 1 + usage("--size is not a number above 0", NULL);
    else if (a->assign_ip && address_plan_parse(a->assign_ip, &plan, &e) < 0)
        result = 1 + usage("--assign-ip", e.msg);
    else if (a->hostname && hostname_check(a->hostname, &e) < 0)
        result = 1 + usage("--guest-hostname", e.msg);
    else if (a->machine_id && machine_id_parse(a->machine_id, a->machine_id_text, &e) < 0)
        result = 1 + usage("--guest-machine-id", e.msg);
    poptFreeContext(ctx);
    return result;
}

// A start that failed is told to who waits for it, and to the terminal or log.
static int report(const struct host_options *o, const struct err *e)
{
    struct err ignored;
    fprintf(stderr, "Host: %s: %s\n", o->id, e->msg);
    json_t *answer = line_answer_error(NULL, e);
    AUTO_FREE char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    AUTO_FREE char *line = xasprintf("%s\n", text);
    if (o->notify_fd >= 0)
        fd_write_all(o->notify_fd, line, strlen(line), &ignored);
    return (int)e->code;
}

int main(int argc, const char **argv)
{
    struct arguments a = {.notify_fd = -1, .lock_fd = -1, .tie_fd = -1};
    stdio_fill();
    int parsed = parse(argc, argv, &a);
    AUTO_FREE char *home = a.home;
    AUTO_FREE char *id = a.id;
    AUTO_FREE char *attach_network = a.attach_network;
    AUTO_FREE char *assign_ip = a.assign_ip;
    AUTO_FREE char *hostname = a.hostname;
    AUTO_FREE char *machine_id = a.machine_id;
    if (parsed)
        return parsed - 1;
    struct host_options options = {
        .home = home,
        .id = id,
        .headless = a.headless,
        .disconnected_nic = a.disconnected_nic,
        .nat_nic = a.nat_nic,
        .discard_state = a.discard_state,
        .attach_network = attach_network,
        .assign_ip = assign_ip,
        .hostname = hostname,
        .machine_id = machine_id ? a.machine_id_text : NULL,
        .notify_fd = a.notify_fd,
        .fork = is(&a, "fork"),
        .reserve = is(&a, "reserve"),
        .vsock = a.vsock,
        .keeper_fd = -1,
        .hold = a.hold,
        .lock_fd = a.lock_fd,
        .tie_fd = a.tie_fd,
    };
    struct err e;
    if (options.notify_fd >= 0) // the engine must not keep it open
        fcntl(options.notify_fd, F_SETFD, FD_CLOEXEC);
    struct pool_options pool = {
        .home = home, .id = id, .size = a.size, .vsock = a.vsock, .notify_fd = options.notify_fd};
    if (is(&a, "pool"))
        return pool_run(&pool, &e) == 0 ? 0 : (int)e.code;
    if (host_run(&options, &e) == 0)
        return 0;
    return report(&options, &e);
}
