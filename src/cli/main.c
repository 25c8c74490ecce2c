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

static int unknown_command(const struct command *const *known, const char *name, struct err *e)
{
    const char *near = command_nearest(known, name);
    if (near)
        return err_set(e, ERR_USAGE, "there is no command '%.40s': did you mean '%s'?", name, near);
    return err_set(e, ERR_USAGE, "there is no command '%.40s'", name);
}

// The command that the first plain argument names, which is left for a parser to skip.
static const struct command *find(const struct cli *cli, const struct command *const *known,
                                  struct err *e)
{
    const struct command *cmd = command_find(known, cli->argv[0]);
    if (!cmd)
        unknown_command(known, cli->argv[0], e);
    return cmd;
}

// *named becomes the member of a family that is run.
static int run_command(struct cli *cli, const struct command **named, struct err *e)
{
    const struct command *cmd = *named;
    AUTO_FREE void *args = xcalloc(1, cmd->args_size);
    if (options_parse(cli, cmd, args, e) < 0)
        return -1;
    if (cmd->members && cli->argc > 0) {
        const struct command *member = find(cli, cmd->members, e);
        if (!member)
            return -1;
        *named = member;
        return run_command(cli, named, e);
    }
    if (cli->help) {
        help_command(cmd);
        return 0;
    }
    return with_store(cli, cli->version ? command_find(commands, "version") : cmd, args, e);
}

static int run(struct cli *cli, int argc, const char **argv, const struct command **cmd,
               struct err *e)
{
    if (options_parse_global(cli, argc, argv, e) < 0)
        return -1;
    if (cli->argc == 0 && cli->help) {
        help_program();
        return 0;
    }
    if (cli->argc == 0)
        options_set_plain(cli, cli->version ? "version" : "ls");
    *cmd = find(cli, commands, e);
    return *cmd ? run_command(cli, cmd, e) : -1;
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

static int report(const struct err *e, const struct command *cmd)
{
    fprintf(stderr, "tailmac: %s\n", e->msg);
    if (e->code == ERR_USAGE)
        fprintf(stderr, "try 'tailmac %s%s%s%s--help'\n",
                cmd && cmd->family ? cmd->family->name : "", cmd && cmd->family ? " " : "",
                cmd ? cmd->name : "", cmd ? " " : "");
    return (int)e->code;
}

int main(int argc, const char **argv)
{
    struct cli cli = {.store.fd = -1};
    struct err e;
    const struct command *cmd = NULL;
    stdio_fill();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // a limit on file sizes becomes an error that names the file
    int code;
    if (run(&cli, argc, argv, &cmd, &e) == 0) {
        code = finish_output();
        code = code ? code : cli.exit_code;
    } else {
        fflush(stdout);
        code = report(&e, cmd);
    }
    options_free(&cli);
    return code;
}
