// Results: as a table for people or as JSON for programs.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/text.h"
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

static char *array_text(const json_t *array)
{
    size_t i;
    const json_t *item;
    char *text = NULL;
    json_array_foreach((json_t *)(uintptr_t)array, i, item) {
        AUTO_FREE char *before = text;
        AUTO_FREE char *next = print_value(item);
        text = before ? xasprintf("%s, %s", before, next) : TAKE_PTR(next);
    }
    return text ? text : xstrdup("-");
}

char *print_value(const json_t *value)
{
    if (!value || json_is_null(value) || (json_is_string(value) && !*json_string_value(value)))
        return xstrdup("-");
    if (json_is_array(value))
        return array_text(value);
    char *text = json_is_string(value) ? xstrdup(json_string_value(value))
                                       : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    text_clean(text); // a name that a guest gave itself, perhaps
    return text;
}

// Prints one line; `texts` are freed. The last column is as wide as its text.
static void print_line(char **texts, const struct column *columns, const int *widths, size_t n)
{
    for (size_t c = 0; c < n; c++) {
        int width = columns[c].right ? widths[c] : c + 1 < n ? -widths[c] : 0;
        printf("%*s%s", width, texts[c], c + 1 < n ? "  " : "\n");
        free(texts[c]);
    }
}

void print_rows(const json_t *rows, const struct column *columns, size_t n)
{
    size_t count = json_array_size(rows) + 1;
    AUTO_FREE char **cells = xcalloc(count * n, sizeof *cells);
    AUTO_FREE int *widths = xcalloc(n, sizeof *widths);
    for (size_t r = 0; r < count; r++)
        for (size_t c = 0; c < n; c++) {
            const json_t *row = r > 0 ? json_array_get(rows, r - 1) : NULL;
            char *text = row ? print_value(json_object_get(row, columns[c].key))
                             : xstrdup(columns[c].heading);
            cells[r * n + c] = text;
            widths[c] = (int)strlen(text) > widths[c] ? (int)strlen(text) : widths[c];
        }
    for (size_t r = 0; r < count; r++)
        print_line(cells + r * n, columns, widths, n);
}
