// `tailmac net counters`: frames, bytes and drops, as a table or for Prometheus.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/net.h"

struct counters_args {
    bool prometheus;
};

static const struct opt opts[] = {
    {"prometheus", OPT_FLAG, offsetof(struct counters_args, prometheus), NULL,
     "in the text format that Prometheus reads"},
    {0},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct column columns[] = {
    {"network", "NETWORK"},
    {"plug", "PLUG", true},
    {"name", "NAME"},
    {"frames_in", "FRAMES IN", true},
    {"bytes_in", "BYTES IN", true},
    {"frames_out", "FRAMES OUT", true},
    {"bytes_out", "BYTES OUT", true},
    {"drops", "DROPS"},
};

// {"no-route":3,"ttl":1} as ["no-route 3","ttl 1"].
static json_t *drop_list(const json_t *drops)
{
    json_t *list = json_array();
    const char *reason;
    const json_t *count;
    json_object_foreach((json_t *)(uintptr_t)drops, reason, count) {
        json_array_append_new(
            list, json_sprintf("%s %lld", reason, (long long)json_integer_value(count)));
    }
    return list;
}

// The networks' counters in rows like those of plugs, which have a name of their own.
static json_t *network_rows(const json_t *doc)
{
    json_t *rows = json_array();
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(doc, "networks"), i, row) {
        json_t *network = json_copy(row);
        json_object_set(network, "network", json_object_get(row, "name"));
        json_object_del(network, "name");
        json_array_append_new(rows, network);
    }
    return rows;
}

static void print_table(const json_t *doc)
{
    json_t *rows = network_rows(doc);
    size_t i;
    json_t *row;
    json_array_extend(rows, json_object_get(doc, "plugs"));
    json_array_foreach(rows, i, row) {
        json_t *shown = json_copy(row);
        json_object_set_new(shown, "drops", drop_list(json_object_get(row, "drops")));
        json_array_set_new(rows, i, shown);
    }
    print_rows(rows, columns, COUNT(columns));
    json_decref(rows);
}

// --- Prometheus: prometheus.io/docs/instrumenting/exposition_formats ---

// A label's value may hold anything; backslash, quote and line feed are escaped.
static void print_label(const char *name, const char *value)
{
    printf("%s=\"", name);
    for (; *value; value++) {
        if (*value == '\n') {
            fputs("\\n", stdout);
            continue;
        }
        if (*value == '\\' || *value == '"')
            putchar('\\');
        putchar(*value);
    }
    putchar('"');
}

// The labels that tell one row of an answer from another.
static void print_labels(const json_t *row)
{
    static const char *const names[] = {"network", "plug", "name"};
    for (size_t i = 0; i < COUNT(names); i++) {
        const json_t *value = json_object_get(row, names[i]);
        if (!value)
            continue;
        AUTO_FREE char *number = json_dumps(value, JSON_ENCODE_ANY);
        print_label(names[i], json_is_string(value) ? json_string_value(value) : number);
        putchar(',');
    }
}

static void print_sample(const char *metric, const json_t *row, const char *label,
                         const char *value, const json_t *count)
{
    printf("%s{", metric);
    print_labels(row);
    print_label(label, value);
    printf("} %lld\n", (long long)json_integer_value(count));
}

static void print_head(const char *metric, const char *help)
{
    printf("# HELP %s %s.\n# TYPE %s counter\n", metric, help, metric);
}

static const char *const directions[] = {"in", "out"};

// All samples of a metric stand together.
static void print_traffic(const char *of, const json_t *rows, const char *unit, const char *help)
{
    AUTO_FREE char *metric = xasprintf("vnet_%s_%s_total", of, unit);
    size_t i;
    json_t *row;
    print_head(metric, help);
    json_array_foreach(rows, i, row) {
        for (size_t d = 0; d < COUNT(directions); d++) {
            AUTO_FREE char *key = xasprintf("%s_%s", unit, directions[d]);
            print_sample(metric, row, "direction", directions[d], json_object_get(row, key));
        }
    }
}

static void print_drops(const char *of, const json_t *rows, const char *help)
{
    AUTO_FREE char *metric = xasprintf("vnet_%s_drops_total", of);
    size_t i;
    json_t *row;
    print_head(metric, help);
    json_array_foreach(rows, i, row) {
        const char *reason;
        json_t *count;
        json_object_foreach(json_object_get(row, "drops"), reason, count) {
            print_sample(metric, row, "reason", reason, count);
        }
    }
}

static void print_prometheus(const json_t *doc)
{
    const json_t *plugs = json_object_get(doc, "plugs");
    json_t *networks = network_rows(doc);
    const char *reason;
    json_t *count;
    print_traffic("plug", plugs, "frames", "Frames from (in) and to (out) a plug");
    print_traffic("plug", plugs, "bytes", "Bytes of frames from (in) and to (out) a plug");
    print_drops("plug", plugs, "Frames of a plug that were not delivered");
    print_traffic("network", networks, "frames", "Frames from (in) and to (out) other networks");
    print_traffic("network", networks, "bytes",
                  "Bytes of frames from (in) and to (out) other networks");
    print_drops("network", networks, "Frames that a network's router did not deliver");
    print_head("vnet_refused_total", "Clients and frames that vnet let in at no plug");
    json_object_foreach(json_object_get(json_object_get(doc, "daemon"), "refused"), reason, count) {
        print_sample("vnet_refused_total", NULL, "reason", reason, count);
    }
    json_decref(networks);
}

static int run_counters(struct cli *cli, void *args_, struct err *e)
{
    const struct counters_args *args = args_;
    if (args->prometheus && cli->json)
        return err_set(e, ERR_USAGE, "--prometheus and --format json exclude each other");
    json_t *answer = net_call(cli, "counters", NULL, e);
    if (!answer)
        return -1;
    cli_print(cli, answer, args->prometheus ? print_prometheus : print_table);
    return 0;
}

const struct command cmd_net_counters = {
    .name = "counters",
    .summary = "Show frames, bytes and drops, also for Prometheus",
    .family = &cmd_net,
    .opts = opts,
    .args_size = sizeof(struct counters_args),
    .run = run_counters,
    .no_store = true,
};
