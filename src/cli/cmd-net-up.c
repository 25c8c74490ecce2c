// `tailmac net up` and `tailmac net down`: vnet in the background, and its end.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/spawn.h"
#include "cli/net.h"

enum { DOWN_MS = 10000, DOWN_STEP_MS = 5 };

struct up_args {
    const char *capture, *listen_stream;
};

static const struct opt opts[] = {
    {"capture", OPT_TEXT, offsetof(struct up_args, capture), "FILE",
     "write every frame to this pcapng file"},
    {"listen-stream", OPT_TEXT, offsetof(struct up_args, listen_stream), "PATH",
     "a stream socket, too, for QEMU's -netdev stream"},
    {0},
};

// --- up ---

static int vnet_argv(const struct cli *cli, const struct up_args *a, struct argv *out,
                     struct err *e)
{
    char dir[4096];
    if (os_exe_dir(dir, sizeof dir) < 0)
        return err_sys(e, "cannot find the vnet program");
    argv_add(out, "%s/vnet", dir);
    argv_add(out, "--detach");
    argv_add(out, "--listen=%s", net_listen(cli));
    if (cli->control)
        argv_add(out, "--control=%s", cli->control);
    if (a->capture)
        argv_add(out, "--capture=%s", a->capture);
    if (a->listen_stream)
        argv_add(out, "--listen-stream=%s", a->listen_stream);
    argv_add(out, "--");
    if (cli->argc > 0)
        argv_add(out, "%s", cli->argv[0]);
    return 0;
}

// What vnet complained of, from the pipe that was its standard error: its first line.
static int explain(int status, int from, struct err *e)
{
    static const char prefix[] = "vnet: ";
    char said[sizeof e->msg];
    fcntl(from, F_SETFL, O_NONBLOCK);
    ssize_t n = read(from, said, sizeof said - 1);
    said[n > 0 ? n : 0] = 0;
    said[strcspn(said, "\n")] = 0;
    const char *why = strncmp(said, prefix, strlen(prefix)) == 0 ? said + strlen(prefix) : said;
    if (WIFSIGNALED(status))
        return err_set(e, ERR_FAILED, "vnet was ended by signal %d", WTERMSIG(status));
    return err_set(e, (enum err_code)WEXITSTATUS(status), "%s",
                   *why ? why : "vnet ended without a word");
}

// Its first process ends when it listens, or could not.
static int wait_for(pid_t pid, int from, struct err *e)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(e, "cannot wait for vnet");
    return status == 0 ? 0 : explain(status, from, e);
}

static int start(const struct cli *cli, const struct up_args *args, struct err *e)
{
    int ends[2];
    if (pipe_open(ends, e) < 0)
        return -1;
    AUTO_CLOSE int ours = ends[0];
    AUTO_CLOSE int theirs = ends[1];
    struct argv argv = {0};
    if (vnet_argv(cli, args, &argv, e) < 0)
        return -1;
    cli_say(cli, "starting vnet at %s", net_listen(cli));
    pid_t pid =
        spawn(&(struct spawn){.argv = argv.v, .in = -1, .out = -1, .err = theirs, .cwd_fd = -1}, e);
    argv_free(&argv);
    return pid < 0 ? -1 : wait_for(pid, ours, e);
}

// 0: nobody is there yet.
static int check_absent(const struct cli *cli, struct err *e)
{
    struct client_conn *c = net_connect(cli, e);
    if (!c)
        return e->code == ERR_NOT_RUNNING ? 0 : -1;
    err_set(e, ERR_BUSY, "a vnet is running at %s already (pid %lld)", net_listen(cli),
            (long long)json_integer_value(json_object_get(client_hello(c), "pid")));
    client_close(c);
    return -1;
}

static void print_up(const json_t *doc)
{
    printf("vnet: listening on %s (pid %lld)\n", json_string_value(json_object_get(doc, "listen")),
           (long long)json_integer_value(json_object_get(doc, "pid")));
}

static int run_up(struct cli *cli, void *args, struct err *e)
{
    if (check_absent(cli, e) < 0 || start(cli, args, e) < 0)
        return -1;
    json_t *status = net_call(cli, "status", NULL, e);
    if (!status)
        return -1;
    cli_print(cli, status, print_up);
    return 0;
}

// --- down ---

static void print_down(const json_t *doc)
{
    const char *listen = json_string_value(json_object_get(doc, "listen"));
    const json_t *seconds = json_object_get(doc, "seconds");
    if (seconds)
        printf("vnet at %s: ended in %.2f s\n", listen, json_real_value(seconds));
    else
        printf("vnet at %s: was not running\n", listen);
}

// It closes its connections when its files are written, and holds its lock until its sockets are
// free for another.
static int wait_for_lock(const struct client_conn *c, int64_t deadline, struct err *e)
{
    const char *listen = json_string_value(json_object_get(client_hello(c), "listen"));
    AUTO_FREE char *lock = xasprintf("%s.lock", listen ? listen : "");
    while (lock_held(AT_FDCWD, lock) == LOCK_EXCLUSIVE) {
        if (clock_ms() > deadline)
            return err_set(e, ERR_TIMEOUT, "timed out");
        poll(NULL, 0, DOWN_STEP_MS);
    }
    return 0;
}

static int wait_for_end(struct client_conn *c, struct err *e)
{
    bool gone = false;
    int64_t deadline = clock_ms() + DOWN_MS;
    json_t *ok = client_call(c, "shutdown", NULL, DOWN_MS, &gone, e);
    if (!ok && !gone)
        return -1;
    json_decref(ok);
    while (!gone) {
        int64_t left = deadline - clock_ms();
        json_t *event = client_event(c, left < 0 ? 0 : left, &gone, e);
        if (!event && !gone)
            return -1;
        json_decref(event);
    }
    return wait_for_lock(c, deadline, e);
}

static int end(struct client_conn *c, json_t *doc, struct err *e)
{
    int64_t start_ms = clock_ms();
    int result = wait_for_end(c, e);
    client_close(c);
    if (result < 0 && e->code == ERR_TIMEOUT)
        return err_set(e, ERR_TIMEOUT, "vnet did not end in time; it may still do so");
    if (result == 0)
        json_object_set_new(doc, "seconds", json_real((double)(clock_ms() - start_ms) / 1000));
    return result;
}

static int run_down(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    struct client_conn *c = net_connect(cli, e);
    if (!c && e->code != ERR_NOT_RUNNING)
        return -1;
    json_t *doc = json_pack("{s:s}", "listen", net_listen(cli));
    if (c && end(c, doc, e) < 0) {
        json_decref(doc);
        return -1;
    }
    cli_print(cli, doc, print_down);
    return 0;
}

const struct command cmd_net_up = {
    .name = "up",
    .summary = "Start vnet in the background, with a lab file or without",
    .family = &cmd_net,
    .plain = "[LAB-FILE]",
    .max_plain = 1,
    .opts = opts,
    .args_size = sizeof(struct up_args),
    .run = run_up,
    .no_store = true,
};

const struct command cmd_net_down = {
    .name = "down",
    .summary = "End vnet; its clients wait for the next one",
    .family = &cmd_net,
    .run = run_down,
    .no_store = true,
};
