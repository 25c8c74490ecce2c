// The command line of `vnet plug`.
#include "vnet/plug/plug.h"

#include <popt.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/vnet.h"
#include "vnet/plug/session.h"

struct arguments {
    char *mac, *name, *network, *netns, *tap, *listen, *control;
    int detach;
};

static int usage(const char *what, const char *detail)
{
    fprintf(stderr, "vnet: %s%s%s\nvnet: try 'vnet plug --help'\n", what, detail ? ": " : "",
            detail ? detail : "");
    return ERR_USAGE;
}

// 0 when `a` is filled, else the exit code.
static int parse(int argc, const char **argv, struct arguments *a)
{
    const struct poptOption table[] = {
        {"mac", 0, POPT_ARG_STRING, &a->mac, 0, "the interface's MAC address", "MAC"},
        {"name", 0, POPT_ARG_STRING, &a->name, 0, "the node's name", "NAME"},
        {"network", 0, POPT_ARG_STRING, &a->network, 0,
         "the network (default: the lab's for this MAC)", "NET"},
        {"netns", 0, POPT_ARG_STRING, &a->netns, 0,
         "the network namespace: a name, a path, a pid (default: this one)", "NAME|PATH|PID"},
        {"tap", 0, POPT_ARG_STRING, &a->tap, 0,
         "the interface's name (default: tap0, or the next that is free)", "NAME"},
        {"listen", 0, POPT_ARG_STRING, &a->listen, 0,
         "vnet's datagram socket (default: " VNET_LISTEN ")", "PATH"},
        {"control", 0, POPT_ARG_STRING, &a->control, 0,
         "vnet's control socket (default: the datagram socket's path and " VNET_CONTROL_SUFFIX ")",
         "PATH"},
        {"detach", 0, POPT_ARG_NONE, &a->detach, 0, "go to the background once plugged", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };
    poptContext ctx = poptGetContext("vnet plug", argc, argv, table, 0);
    poptSetOtherOptionHelp(ctx, "--mac MAC [OPTION...]");
    int rc = poptGetNextOpt(ctx);
    int result = 0;
    if (rc < -1)
        result = usage(poptStrerror(rc), poptBadOption(ctx, 0));
    else if (poptPeekArg(ctx))
        result = usage("there is an argument too many", poptPeekArg(ctx));
    else if (!a->mac)
        result = usage("--mac is missing", NULL);
    poptFreeContext(ctx);
    return result;
}

int plug_main(int argc, const char **argv)
{
    struct arguments a = {0};
    argv[0] = "vnet plug";
    int wrong = parse(argc, argv, &a);
    AUTO_FREE char *mac = a.mac;
    AUTO_FREE char *name = a.name;
    AUTO_FREE char *network = a.network;
    AUTO_FREE char *netns = a.netns;
    AUTO_FREE char *tap = a.tap;
    AUTO_FREE char *listen = a.listen;
    AUTO_FREE char *control =
        a.control ? a.control : xasprintf("%s" VNET_CONTROL_SUFFIX, listen ? listen : VNET_LISTEN);
    if (wrong)
        return wrong;
    struct session_options o = {.control = control,
                                .mac = mac,
                                .name = name,
                                .network = network,
                                .netns = netns,
                                .tap = tap,
                                .detach = a.detach};
    struct err e;
    if (session_run(&o, &e) == 0)
        return 0;
    fprintf(stderr, "vnet: %s\n", e.msg);
    return (int)e.code;
}
