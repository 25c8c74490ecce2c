// Fuzzes what a guest says its host keys are: each line that is made of it is ours.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/ssh-key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = xcalloc(1, size + 1);
    memcpy(text, data, size);
    AUTO_FREE char *known = ssh_known_hosts("box", text);
    for (const char *line = known; line && *line; line = strchr(line, '\n') + 1)
        if (strncmp(line, "box ", 4) != 0 ||
            strcspn(line, "\n#*,\r\t\"\\") != strcspn(line, "\n") ||
            line[strcspn(line, "\n")] != '\n')
            abort();
    return 0;
}
