// How busy the guest is, as its kernel counts.
#include "agent/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int load_read(struct load *out)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[128];
    long long kib;

    *out = (struct load){.memory_total = -1, .memory_available = -1};
    if (!f)
        return -1;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "MemTotal: %lld kB", &kib) == 1)
            out->memory_total = kib * 1024;
        else if (sscanf(line, "MemAvailable: %lld kB", &kib) == 1)
            out->memory_available = kib * 1024;
    }
    fclose(f);
    if (out->memory_total < 0 || out->memory_available < 0)
        return -1;
    return getloadavg(&out->minute, 1) == 1 ? 0 : -1;
}
