// vnet: `vnet [LAB.yaml]`, the daemon, and the programs that go with it.
#include <popt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/stdio.h"
#include "base/text.h"
#include "proto/vnet.h"
#include "vnet/capture/capture.h"
#include "vnet/daemon/run.h"
#include "vnet/egress/egress.h"
#include "vnet/labfile/labfile.h"
#include "vnet/plug/plug.h"

struct arguments {
    char *listen, *listen_stream, *control, *capture;
    const char *lab; // the context's
    int check, realtime, detach, version;
};

static int usage(const char *what, const char *detail)
{
    fprintf(stderr, "vnet: %s%s%s\nvnet: try 'vnet --help'\n", what, detail ? ": " : "",
            detail ? detail : "");
    return ERR_USAGE;
}

static int report(const struct err *e)
{
    fprintf(stderr, "vnet: %s\n", e->msg);
    return (int)e->code;
}

// --- programs that go with it ---

static int run_capture(int argc, const char **argv)
{
    if (argc != 2)
        return usage("the only argument of 'capture' is a file", NULL);
    return capture_main(argv[1], STDIN_FILENO);
}

static int run_egress(int argc, const char **argv)
{
    if (argc != 1)
        return usage("'egress' has no arguments", NULL);
    return egress_main(STDIN_FILENO, STDOUT_FILENO);
}

static const struct subcommand {
    const char *name;
    int (*run)(int argc, const char **argv); // argv[0] is the name
} subcommands[] = {
    {"plug", plug_main},
    {"capture", run_capture},
    {"egress", run_egress},
    {0},
};

static const struct subcommand *find_subcommand(const char *name)
{
    for (const struct subcommand *s = subcommands; s->name; s++)
        if (name && strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

// --- the daemon ---

static int check_lab(const char *path, struct err *e)
{
    struct labfile *lab = path ? labfile_read(path, e) : labfile_default();
    if (!lab)
        return -1;
    int result = labfile_try(lab, e);
    if (result == 0) {
        labfile_print(stdout, lab);
        result = fflush(stdout) == 0 ? 0 : err_sys(e, "cannot write the result");
    }
    labfile_free(lab);
    return result;
}

// It is told in JSON.
static int check_path(const char *path, struct err *e)
{
    AUTO_FREE char *shown = xstrdup(path);
    text_clean(shown);
    if (strcmp(shown, path) != 0)
        return err_set(e, ERR_USAGE, "the socket path %s is not UTF-8", shown);
    return socket_path_check(path, e);
}

// Beside it are PATH.new, PATH.leases, PATH.ctl, and private addresses.
static int check_listen(const char *path, struct err *e)
{
    const size_t most = SOCKET_PATH_MAX - strlen(".leases");
    if (strlen(path) > most)
        return err_set(e, ERR_USAGE, "the socket path %.120s is longer than %zu bytes", path, most);
    return check_path(path, e);
}

static int run_daemon(const struct arguments *a, struct err *e)
{
    AUTO_FREE char *control =
        a->control ? xstrdup(a->control)
                   : xasprintf("%s" VNET_CONTROL_SUFFIX, a->listen ? a->listen : VNET_LISTEN);
    const struct daemon_options options = {
        .lab = a->lab,
        .listen = a->listen ? a->listen : VNET_LISTEN,
        .listen_stream = a->listen_stream,
        .control = control,
        .capture = a->capture,
        .realtime = a->realtime,
        .detach = a->detach,
    };
    if (check_listen(options.listen, e) < 0 || check_path(control, e) < 0 ||
        (a->listen_stream && check_path(a->listen_stream, e) < 0))
        return -1;
    return daemon_run(&options, e);
}

static int run(const struct arguments *a)
{
    struct err e;
    if (a->version)
        return puts("vnet " TAILMAC_VERSION) < 0;
    int result = a->check ? check_lab(a->lab, &e) : run_daemon(a, &e);
    return result < 0 ? report(&e) : 0;
}

static int parse_and_run(int argc, const char **argv, struct arguments *a)
{
    const struct poptOption table[] = {
        {"listen", 0, POPT_ARG_STRING, &a->listen, 0,
         "the datagram socket (default " VNET_LISTEN ")", "PATH"},
        {"listen-stream", 0, POPT_ARG_STRING, &a->listen_stream, 0,
         "a stream socket, too, for QEMU's -netdev stream", "PATH"},
        {"control", 0, POPT_ARG_STRING, &a->control, 0,
         "the control socket (default: the datagram socket's path and .ctl)", "PATH"},
        {"capture", 0, POPT_ARG_STRING, &a->capture, 0,
         "write every frame to this pcapng file, whatever the lab says", "FILE"},
        {"realtime", 0, POPT_ARG_NONE, &a->realtime, 0,
         "go before all other programs, where that is allowed", NULL},
        {"check", 'n', POPT_ARG_NONE, &a->check, 0,
         "check the lab, print it with every default, and end", NULL},
        {"detach", 0, POPT_ARG_NONE, &a->detach, 0, "go to the background once clients can connect",
         NULL},
        {"version", 0, POPT_ARG_NONE, &a->version, 0, "print the version", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };
    poptContext ctx = poptGetContext("vnet", argc, argv, table, 0);
    poptSetOtherOptionHelp(ctx, "[LAB.yaml] [OPTION...]\n       vnet plug [OPTION...]");
    int rc = poptGetNextOpt(ctx);
    a->lab = poptGetArg(ctx);
    int result;
    if (rc < -1)
        result = usage(poptStrerror(rc), poptBadOption(ctx, 0));
    else if (a->lab && poptPeekArg(ctx))
        result = usage("there is only one lab", poptPeekArg(ctx));
    else
        result = run(a);
    poptFreeContext(ctx);
    return result;
}

int main(int argc, const char **argv)
{
    struct arguments a = {0};
    stdio_fill();
    signal(SIGXFSZ, SIG_IGN); // a limit on file sizes becomes an error that names the file
    const struct subcommand *sub = find_subcommand(argc > 1 ? argv[1] : NULL);
    if (sub)
        return sub->run(argc - 1, argv + 1);
    int result = parse_and_run(argc, argv, &a);
    free(a.listen);
    free(a.listen_stream);
    free(a.control);
    free(a.capture);
    return result;
}
