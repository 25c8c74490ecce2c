// tailmac: finds the command, opens the bundle, runs the command, reports once.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/stdio.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/options.h"

static int with_store(struct cli *cli, const struct command *cmd, void *args, struct err *e)
{
    if (cmd->no_store)
        return cmd->run(cli, args, e);
    if (store_open(&cli->store, cli->home, e) < 0)
        return -1;
    cli_say(cli, "bundle %s, run-time files in %s", cli->store.path, cli->store.runtime);
    store_sweep(&cli->store);
    int result = cmd->run(cli, args, e);
    store_close(&cli->store);
    return result;
}

static int run_command(struct cli *cli, const struct command *cmd, struct err *e)
{
    AUTO_FREE void *args = xcalloc(1, cmd->args_size);
    if (options_parse(cli, cmd, args, e) < 0)
        return -1;
    if (cli->help) {
        help_command(cmd);
        return 0;
    }
    return with_store(cli, cli->version ? command_find("version") : cmd, args, e);
}

static int unknown_command(const char *name, struct err *e)
{
    const char *near = command_nearest(name);
    if (near)
        return err_set(e, ERR_USAGE, "there is no command '%.40s': did you mean '%s'?", name, near);
    return err_set(e, ERR_USAGE, "there is no command '%.40s'", name);
}

static int run(struct cli *cli, int argc, const char **argv, const char **name, struct err *e)
{
    if (options_parse_global(cli, argc, argv, e) < 0)
        return -1;
    if (cli->argc == 0 && cli->help) {
        help_program();
        return 0;
    }
    if (cli->argc == 0)
        options_set_plain(cli, cli->version ? "version" : "ls");
    const struct command *cmd = command_find(cli->argv[0]);
    if (!cmd)
        return unknown_command(cli->argv[0], e);
    *name = cmd->name;
    return run_command(cli, cmd, e);
}

// A full disk shows only when the buffer is written. A reader that went away (`| head`) has what it
// wanted and is told nothing.
static int finish_output(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    bool reader_gone = errno == EPIPE || (poll(&out, 1, 0) == 1 && (out.revents & POLLERR));
    if (!reader_gone)
        fprintf(stderr, "tailmac: cannot write the result%s%s\n", errno ? ": " : "",
                errno ? strerror(errno) : "");
    return ERR_FAILED;
}

static int report(const struct err *e, const char *command)
{
    fprintf(stderr, "tailmac: %s\n", e->msg);
    if (e->code == ERR_USAGE)
        fprintf(stderr, "try 'tailmac %s--help'\n", command ? command : "");
    return (int)e->code;
}

int main(int argc, const char **argv)
{
    struct cli cli = {.store.fd = -1};
    struct err e;
    const char *name = NULL;
    stdio_fill();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // a limit on file sizes becomes an error that names the file
    int code;
    if (run(&cli, argc, argv, &name, &e) == 0) {
        code = finish_output();
        code = code ? code : cli.exit_code;
    } else {
        AUTO_FREE char *command = name ? xasprintf("%s ", name) : NULL;
        fflush(stdout);
        code = report(&e, command);
    }
    options_free(&cli);
    return code;
}
