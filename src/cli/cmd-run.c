// `tailmac run`: starts Host in the background and returns when the guest runs, or says why not.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/launch.h"
#include "cli/live.h"

struct run_args {
    bool headless, disconnected_nic, nat_nic, discard_state, tail;
    const char *attach_network;
    const char *assign_ip;
    const char *wait;
    int64_t timeout;
};

static const struct opt opts[] = {
    {"headless", OPT_FLAG, offsetof(struct run_args, headless), NULL,
     "one NIC, the socket NIC (else NAT NIC and socket NIC)"},
    {"nat-nic", OPT_FLAG, offsetof(struct run_args, nat_nic), NULL,
     "headless: the NAT NIC instead"},
    {"disconnected-nic", OPT_FLAG, offsetof(struct run_args, disconnected_nic), NULL,
     "the socket NIC starts with its cable pulled, until 'attach'"},
    {"attach-network", OPT_TEXT, offsetof(struct run_args, attach_network), "SOCK",
     "connect the socket NIC to this server instead of serverSocket"},
    {"assign-ip", OPT_TEXT, offsetof(struct run_args, assign_ip), "IP/MASK/GW",
     "what a guest that asks for its address (vsock port 51011) is told"},
    {"discard-state", OPT_FLAG, offsetof(struct run_args, discard_state), NULL,
     "boot cold on purpose; a saved state is removed"},
    {"tail", OPT_FLAG, offsetof(struct run_args, tail), NULL,
     "follow Host's log; ^C leaves the VM running"},
    {"wait", OPT_TEXT, offsetof(struct run_args, wait), "WHAT",
     "return when the guest is running (default) or its agent ready", "running|ready"},
    {"timeout", OPT_DURATION, offsetof(struct run_args, timeout), "S",
     "give up waiting after this long (default 120); the VM stays as it is"},
    {0},
};

enum { DEFAULT_MS = 120000, LOG_LIMIT = 1 << 20 };

// Host's log of earlier runs stays until it is big.
static int open_log(const struct vm *vm, struct err *e)
{
    struct stat st;
    if (fstatat(vm->fd, VM_HOST_LOG, &st, 0) == 0 && st.st_size > LOG_LIMIT &&
        lock_held(vm->fd, VM_LOCK) == LOCK_NONE)
        renameat(vm->fd, VM_HOST_LOG, vm->fd, VM_HOST_LOG ".1");
    int fd = openat(vm->fd, VM_HOST_LOG, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    return fd < 0 ? err_sys(e, "cannot open %s", VM_HOST_LOG) : fd;
}

static int host_argv(const struct cli *cli, const struct run_args *a, struct argv *out,
                     struct err *e)
{
    if (launch_argv(out, &cli->store, "run", cli->id, e) < 0)
        return -1;
    if (a->headless)
        argv_add(out, "--headless");
    if (a->nat_nic)
        argv_add(out, "--nat-nic");
    if (a->disconnected_nic)
        argv_add(out, "--disconnected-nic");
    if (a->discard_state)
        argv_add(out, "--discard-state");
    if (a->attach_network)
        argv_add(out, "--attach-network=%s", a->attach_network);
    if (a->assign_ip)
        argv_add(out, "--assign-ip=%s", a->assign_ip);
    return 0;
}

static int start_host(const struct cli *cli, const struct run_args *a, int log, struct launch *l,
                      struct err *e)
{
    struct argv argv = {0};
    if (host_argv(cli, a, &argv, e) < 0)
        return -1;
    cli_say(cli, "starting Host for VM '%s'", cli->id);
    return launch_start(l, &cli->store, &argv, log, NULL, 0, e);
}

// Waits for Host's word.
static int hear(struct launch *l, const char *id, int64_t deadline, struct err *e)
{
    for (;;) {
        struct pollfd p = {.fd = l->fd, .events = POLLIN};
        int64_t left = deadline - clock_ms();
        int ready = poll(&p, 1, left < 0 ? 0 : (int)left);
        json_t *status = NULL;
        if (ready == 0)
            return err_set(e, ERR_TIMEOUT,
                           "the guest did not run in time; Host was told to give up");
        if (ready < 0 && interrupt_check(e) < 0)
            return -1;
        int said = ready < 0 ? 0 : launch_read(l, &status, e);
        json_decref(status);
        if (said < 0)
            return err_wrap(e, "cannot run VM '%s'", id);
        if (said > 0)
            return 0;
    }
}

static void print_started(const json_t *doc)
{
    const char *note = json_string_value(json_object_get(doc, "note"));
    const char *boot = json_string_value(json_object_get(doc, "boot"));
    printf("%s: %s (%s)\n", json_string_value(json_object_get(doc, "id")),
           json_string_value(json_object_get(doc, "state")),
           strcmp(boot, "resumed") == 0 ? "resumed from its saved state" : "cold boot");
    if (note)
        printf("%s: note: %s\n", json_string_value(json_object_get(doc, "id")), note);
}

static int start(struct cli *cli, const struct run_args *args, int64_t deadline, struct err *e)
{
    struct vm vm;
    struct address_plan plan;
    if (args->assign_ip && address_plan_parse(args->assign_ip, &plan, e) < 0)
        return err_wrap(e, "--assign-ip");
    if (args->attach_network && socket_path_check(args->attach_network, e) < 0)
        return -1;
    if (vm_open(&cli->store, cli->id, LOCK_NONE, &vm, e) < 0)
        return -1;
    AUTO_CLOSE int log = open_log(&vm, e);
    vm_close(&vm);
    if (log < 0)
        return -1;
    struct launch l = {.pid = -1, .fd = -1};
    int result = start_host(cli, args, log, &l, e);
    if (result == 0)
        result = hear(&l, cli->id, deadline, e);
    if (result < 0 && l.pid >= 0 && (e->code == ERR_TIMEOUT || e->code == ERR_INTERRUPTED))
        kill(l.pid, SIGINT); // before the guest runs it halts; nothing is saved or lost
    launch_close(&l);
    return result;
}

static int run_run(struct cli *cli, void *args_, struct err *e)
{
    const struct run_args *args = args_;
    interrupt_catch();
    int64_t deadline = clock_ms() + (args->timeout < 0 ? DEFAULT_MS : args->timeout);
    struct follow *log = args->tail ? follow_open(&cli->store, cli->id, VM_HOST_LOG, 0, e) : NULL;
    if (args->tail && !log)
        return -1;
    if (start(cli, args, deadline, e) < 0) {
        follow_close(log);
        return -1;
    }
    json_t *status =
        live_wait(&cli->store, cli->id, args->wait ? args->wait : "running", deadline, e);
    if (!status) {
        follow_close(log);
        return -1;
    }
    cli_print(cli, status, print_started);
    if (log)
        follow_until_stopped(log);
    follow_close(log);
    return 0;
}

const struct command cmd_run = {
    .name = "run",
    .summary = "Start a VM in the background, from its saved state where it has one",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct run_args),
    .run = run_run,
};
