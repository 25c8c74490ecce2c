// `tailmac pool`: forks of a saved VM that wait, loaded, for who wants one.
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "cli/cli.h"
#include "cli/fleet.h"
#include "cli/fork-base.h"
#include "cli/pool.h"

struct pool_args {
    int64_t size, timeout;
    bool status, drain, vsock, overcommit;
};

static const struct opt opts[] = {
    {"size", OPT_NUMBER, offsetof(struct pool_args, size), "K",
     "keep so many; 0 ends the pool. What is taken is made again"},
    {"vsock", OPT_FLAG, offsetof(struct pool_args, vsock), NULL,
     "for forks with a vsock device ('fork --vsock')"},
    {"status", OPT_FLAG, offsetof(struct pool_args, status), NULL, "tell what is there (default)"},
    {"drain", OPT_FLAG, offsetof(struct pool_args, drain), NULL,
     "end the pool; forks that were taken go on"},
    {"timeout", OPT_DURATION, offsetof(struct pool_args, timeout), "S",
     "give up after this long (default 120)"},
    {"overcommit", OPT_FLAG, offsetof(struct pool_args, overcommit), NULL,
     "also where this host hardly has the memory"},
    {0},
};

enum { DEFAULT_MS = 120000 };

static void print_pool(const json_t *doc)
{
    long long size = json_integer_value(json_object_get(doc, "size"));
    long long ready = json_integer_value(json_object_get(doc, "ready"));
    const char *base = json_string_value(json_object_get(doc, "base"));
    if (size == 0)
        printf("%s: no pool\n", base);
    else
        printf("%s: a pool of %lld, %lld ready, %lld taken\n", base, size, ready,
               (long long)json_integer_value(json_object_get(doc, "taken")));
}

static json_t *no_pool(const char *id)
{
    return json_pack("{s:s, s:i, s:i}", "base", id, "size", 0, "ready", 0);
}

static json_t *tell(const struct cli *cli, struct err *e)
{
    struct vm vm;
    if (vm_open_unread(&cli->store, cli->id, LOCK_NONE, &vm, e) < 0)
        return NULL;
    vm_close(&vm);
    json_t *status = pool_status(&cli->store, cli->id);
    return status ? status : no_pool(cli->id);
}

// One verb of a pool that is there.
static json_t *call(const struct cli *cli, const char *verb, json_t *args, int64_t deadline,
                    struct err *e)
{
    struct client_conn *c = pool_connect(&cli->store, cli->id, e);
    json_t *answer =
        c ? client_call(c, verb, json_incref(args), deadline - clock_ms(), NULL, e) : NULL;
    json_decref(args);
    client_close(c);
    return answer;
}

static json_t *drain(const struct cli *cli, int64_t deadline, struct err *e)
{
    json_t *ended = call(cli, "drain", json_object(), deadline, e);
    if (!ended)
        return NULL;
    json_decref(ended);
    return no_pool(cli->id);
}

static json_t *hear(struct launch *l, int64_t deadline, struct err *e)
{
    json_t *status = NULL;
    for (int said = 0; said == 0;) {
        struct pollfd p = {.fd = l->fd, .events = POLLIN};
        int64_t left = deadline - clock_ms();
        int ready = poll(&p, 1, left < 0 ? 0 : (int)left);
        if (interrupt_check(e) < 0)
            return NULL;
        if (ready == 0) {
            err_set(e, ERR_TIMEOUT, "it was not full in time");
            return NULL;
        }
        said = ready < 0 ? 0 : launch_read(l, &status, e);
    }
    return status;
}

static json_t *start(const struct cli *cli, const struct pool_args *a, int64_t deadline,
                     struct err *e)
{
    struct launch l = {.pid = -1, .fd = -1};
    struct argv argv = {0};
    if (launch_argv(&argv, &cli->store, "pool", cli->id, e) < 0)
        return NULL;
    argv_add(&argv, "--size=%lld", (long long)a->size);
    if (a->vsock)
        argv_add(&argv, "--vsock");
    json_t *status =
        launch_start(&l, &cli->store, &argv, -1, NULL, 0, e) < 0 ? NULL : hear(&l, deadline, e);
    if (!status && l.pid > 0)
        kill(l.pid, SIGTERM);
    launch_close(&l);
    return status;
}

static json_t *resize(const struct cli *cli, const struct pool_args *a, int64_t deadline,
                      struct err *e)
{
    return call(cli, "size", json_pack("{s:I}", "size", (json_int_t)a->size), deadline, e);
}

static json_t *fill(const struct cli *cli, const struct pool_args *a, int64_t deadline,
                    struct err *e)
{
    struct fork_base base;
    json_t *now = pool_status(&cli->store, cli->id);
    bool there = now != NULL;
    int64_t more = a->size - json_integer_value(json_object_get(now, "size"));
    bool other = there && json_is_true(json_object_get(now, "vsock")) != a->vsock;
    json_decref(now);
    if (other) {
        err_set(e, ERR_EXISTS, "its pool is one %s --vsock: --drain ends it",
                a->vsock ? "without" : "with");
        return NULL;
    }
    if (fork_base_open(&cli->store, cli->id, &base, e) < 0)
        return NULL;
    json_t *status = NULL;
    if (a->overcommit || more <= 0 || fork_base_admit(&base, more, a->vsock, e) == 0)
        status = there ? resize(cli, a, deadline, e) : start(cli, a, deadline, e);
    fork_base_close(&base);
    return status;
}

static int run_pool(struct cli *cli, void *args, struct err *e)
{
    const struct pool_args *a = args;
    int64_t deadline = clock_ms() + (a->timeout < 0 ? DEFAULT_MS : a->timeout);
    bool sized = a->size >= 0;
    if (sized + a->status + a->drain > 1)
        return err_set(e, ERR_USAGE, "pool: --size, --status and --drain exclude each other");
    if (a->size > FLEET_MAX)
        return err_set(e, ERR_USAGE, "--size is not from 0 to %d", FLEET_MAX);
    interrupt_catch();
    json_t *doc = a->drain || a->size == 0 ? drain(cli, deadline, e)
                  : sized                  ? fill(cli, a, deadline, e)
                                           : tell(cli, e);
    if (!doc)
        return err_wrap(e, "pool of VM '%s'", cli->id);
    cli_print(cli, doc, print_pool);
    return 0;
}

const struct command cmd_pool = {
    .name = "pool",
    .summary = "Keep forks of a saved VM ready, for 'fork' to take",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct pool_args),
    .run = run_pool,
};
