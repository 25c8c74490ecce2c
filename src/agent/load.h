// How busy the guest is.
#pragma once

#include <stdint.h>

struct load {
    double minute; // processes that run or want to, on average
    int64_t memory_total, memory_available;
};

// 0 or -1.
int load_read(struct load *out);
