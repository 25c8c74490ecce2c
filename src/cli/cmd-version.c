// `tailmac version`.
#include <stdio.h>

#include "base/os.h"
#include "cli/cli.h"

static void print_version(const json_t *doc)
{
    printf("tailmac %s\n", json_string_value(json_object_get(doc, "version")));
}

static int run_version(struct cli *cli, void *args, struct err *e)
{
    cli_print(cli, json_pack("{s:s, s:s}", "version", TAILMAC_VERSION, "os", os_name),
              print_version);
    return 0;
}

const struct command cmd_version = {
    .name = "version",
    .summary = "Show the version",
    .run = run_version,
    .no_store = true,
};
