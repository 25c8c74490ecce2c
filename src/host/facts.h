// What a guest tells of itself (READY and INFO in agent/wire.h).
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/wire.h"

enum { FACT_MAX = 1024 };

struct facts {
    json_t *doc;        // {"agent","hostname","uptime","nics":[…]}; NULL: nothing yet
    char can[FACT_MAX]; // words
};

void facts_take(struct facts *facts, const struct wire_frame *f);
// How busy it is: {"load","memory_total","memory_available"}. Comes when asked for, in the answer.
void facts_take_load(struct facts *facts, const struct wire_frame *f);
bool facts_can(const struct facts *facts, const char *what);
void facts_free(struct facts *facts);
