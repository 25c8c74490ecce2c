// Fuzzes lab files: what is accepted must be printed, read back and printed again as the same.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "vnet/labfile/labfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *printed(const struct labfile *lab, size_t *n)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, n);
    if (!out)
        abort();
    labfile_print(out, lab);
    fclose(out);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    size_t n;
    size_t n_again;
    struct labfile *lab = labfile_parse((const char *)data, size, "lab.yaml", &e);
    if (!lab)
        return 0;
    AUTO_FREE char *text = printed(lab, &n);
    struct labfile *again = labfile_parse(text, n, "again.yaml", &e);
    if (!again)
        abort();
    AUTO_FREE char *text_again = printed(again, &n_again);
    if (strcmp(text, text_again) != 0)
        abort();
    labfile_free(again);
    labfile_free(lab);
    return 0;
}
