// A directory for one input, in memory where this computer has a place for that: a journal would
// make each take a hundred times as long.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PLACE_PATH = 32 };

static inline void place_make(char path[static PLACE_PATH])
{
    static const char memory[] = "/dev/shm";
    snprintf(path, PLACE_PATH, "%s/tailmac-fuzz-XXXXXX",
             access(memory, W_OK) == 0 ? memory : "/tmp");
    if (!mkdtemp(path))
        abort();
}
