// `tailmac ip`: the guest's address, as its agent tells it.
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/address.h"
#include "cli/cli.h"
#include "cli/live.h"

struct ip_args {
    int64_t wait;
    const char *nic;
    bool v6;
};

enum { CALL_MS = 10000 };

static const struct opt opts[] = {
    {"wait", OPT_DURATION, offsetof(struct ip_args, wait), "S",
     "wait for an address, at most this long (default: do not)", NULL, 0},
    {"nic", OPT_TEXT, offsetof(struct ip_args, nic), "WHICH",
     "of the NIC with 'mac' or the one with 'ethermac' (default: any, that one first)", "mac|nat",
     0},
    {"v6", OPT_FLAG, offsetof(struct ip_args, v6), NULL, "an IPv6 address", NULL, 0},
    {0},
};

static bool is_there(const json_t *status, const void *arg)
{
    return has_address(status, arg);
}

static void print_first(const json_t *doc)
{
    puts(json_string_value(json_object_get(json_array_get(doc, 0), "address")));
}

// A NIC that the VM was not started with has no address, however long one waits.
static int check_nic(const struct cli *cli, const json_t *status, const char *role, struct err *e)
{
    if (!role || has_nic(status, role))
        return 0;
    return err_set(e, ERR_FAILED, "VM '%s' has no %s NIC", cli->id,
                   strcmp(role, "nat") == 0 ? "NAT" : "socket");
}

static json_t *wait_for(const struct cli *cli, const struct ip_args *args,
                        const struct address_choice *choice, struct err *e)
{
    const struct live_goal goal = {
        .words = args->v6 ? "given an IPv6 address" : "given an IPv4 address",
        .reached = is_there,
        .arg = choice,
        .guests = true,
    };
    return live_wait_for(&cli->store, cli->id, &goal, clock_ms() + args->wait, e);
}

static json_t *ask(const struct cli *cli, const struct ip_args *args,
                   const struct address_choice *choice, struct err *e)
{
    json_t *status = live_call(&cli->store, cli->id, "status", NULL, CALL_MS, e);
    bool there = status && check_nic(cli, status, choice->role, e) == 0;
    if (there && args->wait < 0)
        return status;
    json_decref(status);
    return there ? wait_for(cli, args, choice, e) : NULL;
}

static int run_ip(struct cli *cli, void *args_, struct err *e)
{
    const struct ip_args *args = args_;
    const struct address_choice choice = {
        .role = !args->nic                      ? NULL
                : strcmp(args->nic, "nat") == 0 ? "nat"
                                                : "socket",
        .v6 = args->v6,
    };
    json_t *status = ask(cli, args, &choice, e);
    if (!status)
        return -1;
    json_t *list = addresses_of(status, &choice);
    bool ready = json_is_true(json_object_get(json_object_get(status, "agent"), "ready"));
    json_decref(status);
    if (json_array_size(list) > 0) {
        cli_print(cli, list, print_first);
        return 0;
    }
    json_decref(list);
    return err_set(e, ERR_FAILED, "VM '%s' has no IPv%d address%s", cli->id, args->v6 ? 6 : 4,
                   ready ? "" : " that is known of: its agent does not answer");
}

const struct command cmd_ip = {
    .name = "ip",
    .summary = "Print the guest's address",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct ip_args),
    .run = run_ip,
};
