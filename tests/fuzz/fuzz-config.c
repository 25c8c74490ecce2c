// Fuzzes config.json: what is accepted must be written and read back as the same.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "vm/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_back(const struct vm_config *c)
{
    struct vm_config again;
    struct err e;
    AUTO_FREE char *warning = NULL;
    json_t *doc = config_to_file(c);
    AUTO_FREE char *text = json_dumps(doc, 0);
    if (!text || config_parse(text, "a", &again, &warning, &e) < 0 || warning)
        abort();
    json_t *before = config_to_json(c);
    json_t *after = config_to_json(&again);
    if (!json_equal(before, after))
        abort();
    json_decref(doc);
    json_decref(before);
    json_decref(after);
    config_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vm_config c;
    struct err e;
    AUTO_FREE char *text = xcalloc(1, size + 1);
    AUTO_FREE char *warning = NULL;
    memcpy(text, data, size);
    if (config_parse(text, "a", &c, &warning, &e) == 0) {
        read_back(&c);
        config_free(&c);
    }
    return 0;
}
