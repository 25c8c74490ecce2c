// `tailmac net status`, `links`, `leases` and `dns`: one question, one answer, as a table.
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/net.h"

enum { NAME_WIDTH = 9 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

// --- status ---

static void print_fact(const char *name, const char *value)
{
    if (value)
        printf("%-*s%s\n", NAME_WIDTH, name, value);
}

static const char *text_of(const json_t *doc, const char *key)
{
    return json_string_value(json_object_get(doc, key));
}

static long long number_of(const json_t *doc, const char *key)
{
    return (long long)json_number_value(json_object_get(doc, key));
}

static void print_capture(const json_t *capture)
{
    if (!json_is_object(capture))
        return;
    printf("%-*s%s: %lld packets, %lld bytes, %lld lost%s%s\n", NAME_WIDTH, "capture",
           text_of(capture, "path"), number_of(capture, "packets"), number_of(capture, "bytes"),
           number_of(capture, "lost"), text_of(capture, "error") ? "; " : "",
           text_of(capture, "error") ? text_of(capture, "error") : "");
}

static void print_status(const json_t *doc)
{
    static const struct column columns[] = {
        {"name", "NETWORK"}, {"lan", "LAN"},       {"lan6", "LAN6"},     {"wan", "WAN"},
        {"nat", "NAT"},      {"domain", "DOMAIN"}, {"mtu", "MTU", true}, {"plugs", "PLUGS", true},
    };
    printf("%-*s%s, pid %lld, up %lld s\n", NAME_WIDTH, "vnet", text_of(doc, "version"),
           number_of(doc, "pid"), number_of(doc, "uptime"));
    print_fact("listen", text_of(doc, "listen"));
    print_fact("stream", text_of(doc, "listen_stream"));
    print_fact("control", text_of(doc, "control"));
    print_fact("lab", text_of(doc, "lab"));
    print_capture(json_object_get(doc, "capture"));
    putchar('\n');
    print_rows(json_object_get(doc, "networks"), columns, COUNT(columns));
    if (json_array_size(json_object_get(doc, "forwards")) > 0)
        putchar('\n');
    net_print_forwards(json_object_get(doc, "forwards"));
}

// --- links ---

// "20 ms, queue 1000", "down", "-": the conditions of one direction.
static char *conditions(const json_t *link)
{
    double ms = json_number_value(json_object_get(link, "delay_ns")) / 1e6;
    if (json_is_true(json_object_get(link, "down")))
        return xstrdup("down");
    return ms > 0 ? xasprintf("%g ms", ms) : xstrdup("-");
}

static void print_links(const json_t *doc)
{
    static const struct column columns[] = {
        {"plug", "PLUG", true},     {"name", "NAME"}, {"network", "NETWORK"},
        {"kind", "KIND"},           {"up", "UP"},     {"down", "DOWN"},
        {"queued", "QUEUED", true}, {"macs", "MACS"}, {"peer", "PEER"},
    };
    static const char *const directions[] = {"up", "down"};
    json_t *rows = json_deep_copy(json_object_get(doc, "links"));
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        for (size_t d = 0; d < COUNT(directions); d++) {
            AUTO_FREE char *text = conditions(json_object_get(row, directions[d]));
            json_object_set_new(row, directions[d], json_string(text));
        }
    }
    print_rows(rows, columns, COUNT(columns));
    json_decref(rows);
}

// --- leases ---

static void print_leases(const json_t *doc)
{
    static const struct column columns[] = {
        {"network", "NETWORK"}, {"address", "ADDRESS"}, {"mac", "MAC"},
        {"expires", "EXPIRES"}, {"host", "HOST"},
    };
    json_t *rows = json_deep_copy(json_object_get(doc, "leases"));
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        long long left = number_of(row, "expires_in");
        json_object_set_new(row, "expires",
                            left > 0 ? json_sprintf("in %lld s", left) : json_string("ended"));
    }
    print_rows(rows, columns, COUNT(columns));
    json_decref(rows);
}

// --- the commands ---

static int ask(struct cli *cli, const char *verb, json_t *args, void (*table)(const json_t *doc),
               struct err *e)
{
    json_t *answer = net_call(cli, verb, args, e);
    if (!answer)
        return -1;
    cli_print(cli, answer, table);
    return 0;
}

static int run_status(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    return ask(cli, "status", NULL, print_status, e);
}

static int run_links(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    return ask(cli, "links", NULL, print_links, e);
}

static int run_leases(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    return ask(cli, "leases", NULL, print_leases, e);
}

static int run_dns(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    if (cli->argc < 2)
        return err_set(e, ERR_USAGE, "net dns: which network and which fault?");
    return ask(cli, "dns", json_pack("{s:s, s:s}", "network", cli->argv[0], "fault", cli->argv[1]),
               print_object, e);
}

const struct command cmd_net_status = {
    .name = "status",
    .summary = "Show what runs, and its networks",
    .family = &cmd_net,
    .run = run_status,
    .no_store = true,
};

const struct command cmd_net_links = {
    .name = "links",
    .summary = "List who is plugged in, and how",
    .family = &cmd_net,
    .run = run_links,
    .no_store = true,
};

const struct command cmd_net_leases = {
    .name = "leases",
    .summary = "List the addresses given by DHCP",
    .family = &cmd_net,
    .run = run_leases,
    .no_store = true,
};

const struct command cmd_net_dns = {
    .name = "dns",
    .summary = "Let a network's DNS server misbehave, or behave again",
    .family = &cmd_net,
    .plain = "NETWORK FAULT",
    .max_plain = 2,
    .run = run_dns,
    .no_store = true,
};
