// `tailmac doctor`: what this host can do, and why it cannot do the rest.
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/os.h"
#include "cli/cli.h"
#include "engine/engine.h"

static void print_checks(const json_t *doc)
{
    size_t i;
    json_t *check;
    json_array_foreach(json_object_get(doc, "checks"), i, check) {
        printf("%-4s %-22s %s\n", json_is_true(json_object_get(check, "ok")) ? "ok" : "no",
               json_string_value(json_object_get(check, "name")),
               json_string_value(json_object_get(check, "detail")));
    }
}

static void add_host_checks(const struct store *s, json_t *checks)
{
    json_array_append_new(
        checks, json_pack("{s:s, s:b, s:s}", "name", "bundle", "ok", 1, "detail", s->path));
    json_array_append_new(checks, json_pack("{s:s, s:b, s:s}", "name", "run-time directory", "ok",
                                            1, "detail", s->runtime));
    json_array_append_new(
        checks, json_pack("{s:s, s:b, s:o}", "name", "memory", "ok", 1, "detail",
                          json_sprintf("%llu MiB available",
                                       (unsigned long long)(os_memory_available() >> 20))));
}

static int run_doctor(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    json_t *checks = json_array();
    add_host_checks(&cli->store, checks);
    bool able = engines_probe(cli->store.runtime, checks);
    cli_print(cli, json_pack("{s:b, s:o}", "ok", able, "checks", checks), print_checks);
    if (!able)
        return err_set(e, ERR_HOST_CANNOT, "this host has no engine that can run VMs");
    return 0;
}

const struct command cmd_doctor = {
    .name = "doctor",
    .summary = "Show what this host can do, and why not the rest",
    .run = run_doctor,
};
