// How late the timer was, as a histogram: what the machine does to the lab's delays.
#pragma once

#include <jansson.h>
#include <stdint.h>

enum { LATENESS_BUCKETS = 14 };

struct lateness {
    uint64_t count[LATENESS_BUCKETS];
};
void lateness_add(struct lateness *l, uint64_t ns);

// [{"upto_us": 10, "count": 3}, …]; null in the last: everything later.
json_t *lateness_document(const struct lateness *l);
