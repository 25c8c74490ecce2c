// Fuzzes the lease file: refused whole, or leases that are written and read back as the same.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vnet/daemon/lease-lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Without its newline; the caller frees.
static char *text_of(const struct lease_line *l)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    lease_line_put(out, l);
    fclose(out);
    text[n - 1] = 0;
    return text;
}

static void read_back(void *arg, const struct lease_line *l)
{
    (void)arg;
    struct lease_line again;
    struct err e;
    char *text = text_of(l);
    if (lease_line_parse(text, &again, &e) < 0)
        abort();
    char *second = text_of(&again);
    if (strcmp(text, second) != 0)
        abort();
    free(second);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    char *text = xcalloc(1, size + 1);
    memcpy(text, data, size);
    lease_lines_parse(text, read_back, NULL, &e);
    free(text);
    return 0;
}
