// `tailmac net forward`: ports of the host that lead to guests.
#include <stdio.h>
#include <string.h>

#include "cli/net.h"

struct forward_args {
    bool remove;
};

static const struct opt opts[] = {
    {"remove", OPT_FLAG, offsetof(struct forward_args, remove), NULL,
     "let the port go; connections that are there stay"},
    {0},
};

static const char *text_of(const json_t *doc, const char *key)
{
    return json_string_value(json_object_get(doc, key));
}

// "vm1:80", and where that is just now, or why it is nowhere.
static json_t *row_of(const json_t *forward)
{
    json_t *row = json_copy((json_t *)(uintptr_t)forward);
    const char *guest = text_of(forward, "guest");
    const char *address = text_of(forward, "address");
    const char *network = text_of(forward, "network");
    json_object_set_new(
        row, "to",
        json_sprintf("%s:%lld", guest ? guest : "",
                     (long long)json_integer_value(json_object_get(forward, "port"))));
    json_object_set(row, "now", json_object_get(forward, "note"));
    if (address && network)
        json_object_set_new(row, "now", json_sprintf("%s in %s", address, network));
    return row;
}

void net_print_forwards(const json_t *forwards)
{
    static const struct column columns[] = {
        {"listen", "FROM HOST"}, {"protocol", "PROTOCOL"}, {"to", "TO"}, {"now", "NOW"}};
    json_t *rows = json_array();
    size_t i;
    const json_t *forward;
    json_array_foreach(forwards, i, forward) {
        json_array_append_new(rows, row_of(forward));
    }
    if (json_array_size(rows) > 0)
        print_rows(rows, columns, sizeof columns / sizeof *columns);
    json_decref(rows);
}

static void print_forwards(const json_t *doc)
{
    net_print_forwards(json_object_get(doc, "forwards"));
}

static int check(const struct cli *cli, bool remove, struct err *e)
{
    if (remove && cli->argc != 1)
        return err_set(e, ERR_USAGE, "net forward: --remove takes a port of the host");
    if (!remove && cli->argc == 1)
        return err_set(e, ERR_USAGE, "net forward: to which guest, and port? Give ID:PORT");
    return 0;
}

static int run_forward(struct cli *cli, void *args_, struct err *e)
{
    const struct forward_args *args = args_;
    if (check(cli, args->remove, e) < 0)
        return -1;
    json_t *asked = json_pack("{s:s*, s:s*, s:b}", "listen", cli->argc > 0 ? cli->argv[0] : NULL,
                              "to", cli->argc > 1 ? cli->argv[1] : NULL, "remove", args->remove);
    if (!asked)
        return err_set(e, ERR_USAGE, "net forward: that is not UTF-8");
    json_t *answer = net_call(cli, "forward", asked, e);
    if (!answer)
        return -1;
    cli_print(cli, answer, print_forwards);
    return 0;
}

const struct command cmd_net_forward = {
    .name = "forward",
    .summary = "Let ports of the host lead to guests, and list them",
    .family = &cmd_net,
    .plain = "[[ADDRESS:]PORT ID:PORT]",
    .max_plain = 2,
    .opts = opts,
    .args_size = sizeof(struct forward_args),
    .run = run_forward,
    .no_store = true,
};
