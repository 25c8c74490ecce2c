// Fuzzes what people type.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mac_goes_both_ways(const char *text)
{
    char formatted[MAC_TEXT];
    struct mac mac;
    struct mac again;
    struct err e;
    if (mac_parse(text, &mac, &e) < 0)
        return;
    mac_format(&mac, formatted);
    if (mac_parse(formatted, &again, &e) < 0 || memcmp(&mac, &again, sizeof mac) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    uint64_t bytes;
    int64_t ms;
    AUTO_FREE char *text = xcalloc(1, size + 1);
    memcpy(text, data, size);
    mac_goes_both_ways(text);
    size_parse(text, &bytes, &e);
    if (duration_parse(text, &ms, &e) == 0 && ms < 0)
        abort();
    if (number_parse(text, "n", 1, 10, &bytes, &e) == 0 && (bytes < 1 || bytes > 10))
        abort();
    if (id_check(text, &e) == 0 && strpbrk(text, "/ \n"))
        abort();
    socket_path_check(text, &e);
    interface_name_check(text, &e);
    return 0;
}
