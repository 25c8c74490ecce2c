// `tailmac exec`: runs a command in the guest, as if it ran here.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/live.h"
#include "cli/relay.h"
#include "cli/terminal.h"
#include "proto/unix.h"

struct exec_args {
    bool tty, detach;
    struct texts env;
    const char *cwd, *user, *job;
    int64_t timeout;
};

static const struct opt opts[] = {
    {"tty", OPT_FLAG, offsetof(struct exec_args, tty), NULL,
     "give it a terminal, as for a shell or an editor", NULL, 't'},
    {"env", OPT_TEXTS, offsetof(struct exec_args, env), "K=V",
     "a variable of its environment; may be repeated", NULL, 0},
    {"cwd", OPT_TEXT, offsetof(struct exec_args, cwd), "DIR",
     "its working directory (default: the user's home)", NULL, 0},
    {"user", OPT_TEXT, offsetof(struct exec_args, user), "USER",
     "whose it is, by name or number (default: root)", NULL, 0},
    {"timeout", OPT_DURATION, offsetof(struct exec_args, timeout), "S",
     "kill it after this long, and end with 7", NULL, 0},
    {"detach", OPT_FLAG, offsetof(struct exec_args, detach), NULL,
     "leave it running; prints a job to wait for", NULL, 0},
    {"wait", OPT_TEXT, offsetof(struct exec_args, job), "JOB",
     "run nothing, but wait for a detached command", NULL, 0},
    {0},
};

static int check(const struct cli *cli, const struct exec_args *args, struct err *e)
{
    if (args->job && (cli->argc > 0 || args->detach || args->tty))
        return err_set(e, ERR_USAGE, "exec: --wait goes with --timeout only");
    if (!args->job && cli->argc == 0)
        return err_set(e, ERR_USAGE, "exec: which command?");
    if (args->detach && (args->tty || args->timeout >= 0))
        return err_set(e, ERR_USAGE, "exec: --detach goes with neither --tty nor --timeout");
    for (int i = 0; i < args->env.count; i++)
        if (strcspn(args->env.text[i], "=") == 0 || !strchr(args->env.text[i], '='))
            return err_set(e, ERR_USAGE, "--env: '%.80s' is not NAME=VALUE", args->env.text[i]);
    return 0;
}

static json_t *list_of(const char *const *texts, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

static bool is_given(const struct texts *env, const char *prefix)
{
    for (int i = 0; i < env->count; i++)
        if (strncmp(env->text[i], prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

// The verb's arguments. NULL where a text is not UTF-8, which JSON cannot carry.
static json_t *order(const struct cli *cli, const struct exec_args *args, struct err *e)
{
    int rows;
    int cols;
    if (args->job)
        return json_pack("{s:s}", "wait", args->job);
    terminal_size(&rows, &cols);
    json_t *env = list_of(args->env.text, args->env.count);
    json_t *argv = list_of(cli->argv, cli->argc);
    if (args->tty && getenv("TERM") && !is_given(&args->env, "TERM="))
        json_array_append_new(env, json_sprintf("TERM=%s", getenv("TERM")));
    bool whole = json_array_size(argv) == (size_t)cli->argc &&
                 json_array_size(env) >= (size_t)args->env.count;
    json_t *doc = json_pack("{s:o, s:o, s:s*, s:s*, s:b, s:b, s:i, s:i}", "argv", argv, "env", env,
                            "cwd", args->cwd, "user", args->user, "tty", args->tty, "detach",
                            args->detach, "rows", rows, "cols", cols);
    if (doc && whole)
        return doc;
    json_decref(doc);
    err_set(e, ERR_USAGE, "exec: the command line is not UTF-8");
    return NULL;
}

// The sockets' other ends go to Host with the request.
static json_t *run_with_sockets(struct relay *r, json_t *args, bool *gone, struct err *e)
{
    int io[2];
    int err[2];
    if (unix_pair(io, e) < 0 || unix_pair(err, e) < 0) {
        json_decref(args);
        return NULL;
    }
    r->request = client_send(r->conn, "exec", args, (const int[]){io[1], err[1]}, 2, e);
    close(io[1]);
    close(err[1]);
    r->io = io[0];
    r->err = err[0];
    *gone = r->request < 0;
    json_t *answer = r->request < 0 ? NULL : relay_run(r, gone, e);
    close(io[0]);
    close(err[0]);
    return answer;
}

static json_t *run_without(struct relay *r, json_t *args, bool *gone, struct err *e)
{
    r->io = r->err = -1;
    r->request = client_send(r->conn, "exec", args, NULL, 0, e);
    *gone = r->request < 0;
    return r->request < 0 ? NULL : relay_run(r, gone, e);
}

static json_t *run_on(struct cli *cli, const struct exec_args *args, struct relay *r, bool *gone,
                      struct err *e)
{
    json_t *doc = order(cli, args, e);
    struct terminal terminal = {0};
    if (!doc)
        return NULL;
    if (args->detach || args->job)
        return run_without(r, doc, gone, e);
    if (args->tty)
        terminal_raw(&terminal);
    r->keys = terminal.raw;
    json_t *answer = run_with_sockets(r, doc, gone, e);
    terminal_restore(&terminal);
    if (!answer && terminal.raw)
        fputs("\n", stderr); // a line of its own for the reason
    return answer;
}

static void tell(struct cli *cli, const json_t *answer)
{
    const char *job = json_string_value(json_object_get(answer, "job"));
    const char *message = json_string_value(json_object_get(answer, "message"));
    if (job)
        puts(job);
    if (message)
        fprintf(stderr, "tailmac: %s\n", message);
    cli->exit_code = (int)json_integer_value(json_object_get(answer, "code"));
}

static int run_exec(struct cli *cli, void *args_, struct err *e)
{
    const struct exec_args *args = args_;
    bool gone = false;
    struct relay r = {.tty = args->tty,
                      .deadline = args->timeout < 0 ? -1 : clock_ms() + args->timeout};
    if (check(cli, args, e) < 0 || live_wait_agent(&cli->store, cli->id, r.deadline, e) < 0)
        return -1;
    r.conn = live_connect(&cli->store, cli->id, e);
    if (!r.conn)
        return -1;
    json_t *answer = run_on(cli, args, &r, &gone, e);
    client_close(r.conn);
    if (!answer)
        return gone ? live_explain_gone(&cli->store, cli->id, e) : -1;
    tell(cli, answer);
    json_decref(answer);
    return 0;
}

const struct command cmd_exec = {
    .name = "exec",
    .summary = "Run a command in the guest; its output and its exit code are passed on",
    .plain = "[-- COMMAND [ARG...]]",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct exec_args),
    .run = run_exec,
    .rest = true,
};
