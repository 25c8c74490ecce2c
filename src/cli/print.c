// Results: as a table for people or as JSON for programs.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"

void cli_print(const struct cli *cli, json_t *doc, void (*table)(const json_t *doc))
{
    if (cli->json) {
        AUTO_FREE char *text = json_dumps(doc, JSON_INDENT(2) | JSON_ENCODE_ANY);
        puts(text ? text : "null");
    } else {
        table(doc);
    }
    json_decref(doc);
}

void cli_say(const struct cli *cli, const char *fmt, ...)
{
    if (!cli->verbose)
        return;
    va_list ap;
    va_start(ap, fmt);
    fputs("tailmac: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

void print_object(const json_t *doc)
{
    const char *key;
    const json_t *value;
    int width = 0;
    json_object_foreach((json_t *)(uintptr_t)doc, key, value)
        width = (int)strlen(key) > width ? (int)strlen(key) : width;
    json_object_foreach((json_t *)(uintptr_t)doc, key, value) {
        AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        printf("%-*s  %s\n", width, key,
               json_is_string(value) ? json_string_value(value)
               : text                ? text
                                     : "");
    }
}
