// `tailmac net`: a family of commands about vnet, the network that VMs plug into.
#include "cli/net.h"

extern const struct command cmd_net_counters, cmd_net_dns, cmd_net_down, cmd_net_events,
    cmd_net_forward, cmd_net_leases, cmd_net_links, cmd_net_status, cmd_net_up;

static const struct command *const members[] = {
    &cmd_net_up,       &cmd_net_down,   &cmd_net_status, &cmd_net_links,   &cmd_net_leases,
    &cmd_net_counters, &cmd_net_events, &cmd_net_dns,    &cmd_net_forward, NULL,
};

static const struct opt opts[] = {
    {"listen", OPT_TEXT, offsetof(struct cli, listen), "PATH",
     "the vnet's datagram socket (default: /tmp/qemu-dgram.sock)"},
    {"control", OPT_TEXT, offsetof(struct cli, control), "PATH",
     "its control socket (default: the datagram socket's path and .ctl)"},
    {0},
};

static int run_net(struct cli *cli, void *args, struct err *e)
{
    (void)cli;
    (void)args;
    return err_set(e, ERR_USAGE, "net: what about it? Give a command");
}

const struct command cmd_net = {
    .name = "net",
    .summary = "Start, stop and ask vnet, a network for VMs",
    .plain = "COMMAND …",
    .opts = opts,
    .members = members,
    .run = run_net,
    .no_store = true,
};
