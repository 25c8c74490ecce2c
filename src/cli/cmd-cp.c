// `tailmac cp`: files and trees into the guest and out of it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/live.h"
#include "cli/peer.h"
#include "tree/janitor.h"

struct cp_args {
    const char *user;
    int64_t timeout;
};

static const struct opt opts[] = {
    {"user", OPT_TEXT, offsetof(struct cp_args, user), "USER",
     "who reads or writes in the guest, by name or number (default: root)", NULL, 0},
    {"timeout", OPT_DURATION, offsetof(struct cp_args, timeout), "S",
     "give up after this long, and end with 7", NULL, 0},
    {0},
};

struct copy {
    char *id;
    const char *here, *there; // paths
    bool out;                 // from the guest
    struct peer peer;
    const char *user;
    struct tree_count count;
};

// --- the command line ---

// "ID:path", as scp has it: a path that begins with such a thing is written ./ID:path.
static const char *path_in_guest(const char *text, char *id, size_t n)
{
    size_t length = strcspn(text, ":/");
    if (text[length] != ':' || length == 0)
        return NULL;
    snprintf(id, n, "%.*s", (int)(length < n ? length : n - 1), text);
    const char *path = text + length + 1;
    return *path ? path : ".";
}

static int read_sides(const struct cli *cli, struct copy *c, struct err *e)
{
    if (cli->argc != 2)
        return err_set(e, ERR_USAGE, "cp: give a source and a destination");
    size_t n = strlen(cli->argv[0]) + strlen(cli->argv[1]) + 1;
    c->id = xcalloc(1, n);
    const char *from = path_in_guest(cli->argv[0], c->id, n);
    const char *to = path_in_guest(cli->argv[1], c->id, n);
    if (!from == !to)
        return err_set(e, ERR_USAGE, "cp: %s of the two must be ID:PATH, in a guest",
                       from ? "only one" : "one");
    c->out = from != NULL;
    c->there = from ? from : to;
    c->here = cli->argv[from ? 1 : 0];
    if (!*c->here)
        return err_set(e, ERR_USAGE, "cp: a path is empty");
    return id_check(c->id, e);
}

// --- copying ---

static int start(struct cli *cli, struct copy *c, const char *what, const char *name, struct err *e)
{
    if (live_wait_agent(&cli->store, c->id, c->peer.deadline, e) < 0)
        return -1;
    c->peer.conn = live_connect(&cli->store, c->id, e);
    if (!c->peer.conn)
        return -1;
    return peer_start(&c->peer, (const char *const[3]){what, c->there, name}, c->user, e);
}

// Where the stream broke off, the reason is the other side's.
static int explain(struct cli *cli, struct copy *c, struct err *e)
{
    bool gone = false;
    struct err ours = *e;
    if (!c->peer.ended)
        return -1;
    if (peer_finish(&c->peer, &gone, e) == 0)
        *e = ours;
    return gone ? live_explain_gone(&cli->store, c->id, e) : -1;
}

static int copy_in(struct cli *cli, struct copy *c, struct err *e)
{
    bool gone = false;
    char name[TREE_NAME_MAX + 1];
    struct tree_io io = peer_io(&c->peer);
    tree_name(c->here, name);
    if (start(cli, c, "receive", name, e) < 0)
        return -1;
    if (tree_send(c->here, &io, &c->count, e) < 0)
        return explain(cli, c, e);
    if (peer_finish(&c->peer, &gone, e) == 0)
        return 0;
    return gone ? live_explain_gone(&cli->store, c->id, e) : -1;
}

static int receive(struct cli *cli, struct copy *c, const struct tree_place *place, struct err *e)
{
    struct tree_io io = peer_io(&c->peer);
    if (start(cli, c, "send", NULL, e) < 0)
        return -1;
    return tree_receive(place, &io, &c->count, e) < 0 ? explain(cli, c, e) : 0;
}

static int copy_out(struct cli *cli, struct copy *c, struct err *e)
{
    char name[TREE_NAME_MAX + 1];
    struct tree_place place;
    struct janitor janitor;
    tree_name(c->there, name);
    int result = tree_place_open(&place, c->here, name, e);
    if (result == 0 && (result = janitor_start(&janitor, place.dir, place.temporary, e)) == 0) {
        result = receive(cli, c, &place, e);
        janitor_end(&janitor);
    }
    tree_place_close(&place);
    return result;
}

// --- the command ---

static void say_nothing(const json_t *doc)
{
    (void)doc;
}

static void report(struct cli *cli, const struct tree_count *n, double seconds)
{
    if (n->skipped)
        fprintf(stderr, "tailmac: left out: %llu that were neither file, directory nor link\n",
                (unsigned long long)n->skipped);
    cli_say(cli, "copied %llu files, %llu bytes, in %.1f s", (unsigned long long)n->files,
            (unsigned long long)n->bytes, seconds);
    cli_print(cli,
              json_pack("{s:I, s:I, s:I, s:I, s:I, s:f}", "files", (json_int_t)n->files,
                        "directories", (json_int_t)n->directories, "links", (json_int_t)n->links,
                        "bytes", (json_int_t)n->bytes, "skipped", (json_int_t)n->skipped, "seconds",
                        seconds),
              say_nothing);
}

static int copy(struct cli *cli, struct copy *c, struct err *e)
{
    if (read_sides(cli, c, e) < 0)
        return -1;
    interrupt_catch();
    int result = c->out ? copy_out(cli, c, e) : copy_in(cli, c, e);
    peer_close(&c->peer);
    if (c->peer.conn)
        client_close(c->peer.conn);
    return result < 0 ? err_wrap(e, "cannot copy %s to %s", cli->argv[0], cli->argv[1]) : 0;
}

static int run_cp(struct cli *cli, void *args_, struct err *e)
{
    const struct cp_args *args = args_;
    int64_t begin = clock_ms();
    struct copy c = {.user = args->user, .peer = {.io = -1, .err = -1, .deadline = -1}};
    if (args->timeout >= 0)
        c.peer.deadline = begin + args->timeout;
    int result = copy(cli, &c, e);
    free(c.id);
    if (result == 0)
        report(cli, &c.count, (double)(clock_ms() - begin) / 1000);
    return result;
}

const struct command cmd_cp = {
    .name = "cp",
    .summary = "Copy a file or a tree into the guest (SRC ID:PATH) or out of it (ID:PATH DST)",
    .plain = "SRC-PATH DST-PATH",
    .id = ID_NONE,
    .max_plain = 2,
    .opts = opts,
    .args_size = sizeof(struct cp_args),
    .run = run_cp,
};
