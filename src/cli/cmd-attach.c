// `tailmac attach` and `tailmac detach`: the socket NIC's cable, while the VM runs.
#include <stdio.h>

#include "cli/cli.h"
#include "cli/live.h"

struct attach_args {
    const char *network;
};

static const struct opt opts[] = {
    {"network", OPT_TEXT, offsetof(struct attach_args, network), "SOCK",
     "the server's datagram socket (default: the configuration's serverSocket)"},
    {0},
};

enum { CALL_MS = 20000 };

static void print_link(const json_t *nic)
{
    const char *server = json_string_value(json_object_get(nic, "server"));
    bool connected = json_is_true(json_object_get(nic, "connected"));
    if (!server)
        printf("detached\n");
    else
        printf("%s %s\n", connected ? "connected to" : "nobody yet at", server);
}

static int call(struct cli *cli, const char *verb, json_t *args, struct err *e)
{
    json_t *nic = live_call(&cli->store, cli->id, verb, args, CALL_MS, e);
    if (!nic)
        return -1;
    cli_print(cli, nic, print_link);
    return 0;
}

static int run_attach(struct cli *cli, void *args_, struct err *e)
{
    const struct attach_args *args = args_;
    return call(cli, "attach", json_pack("{s:s*}", "network", args->network), e);
}

static int run_detach(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    return call(cli, "detach", NULL, e);
}

const struct command cmd_attach = {
    .name = "attach",
    .summary = "Connect a running VM's socket NIC to a server",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct attach_args),
    .run = run_attach,
};

const struct command cmd_detach = {
    .name = "detach",
    .summary = "Pull the cable of a running VM's socket NIC",
    .id = ID_REQUIRED,
    .run = run_detach,
};
