// SET: everything that a guest can be given, in one request.
#pragma once

#include <stdbool.h>

#include "agent/kept.h"
#include "agent/nics.h"
#include "agent/why.h"
#include "agent/wire.h"

#define SET_ITEMS_MAX 64

// What became of the items, in the order in which they were applied.
struct set_report {
    unsigned count;
    struct set_outcome {
        char key[16];
        bool done;
        char note[WHY_MAX]; // what was done, or why it was not
    } list[SET_ITEMS_MAX];
};

// What the agent has: the guest's NICs, as mac_set() has them, and descriptors.
struct set_context {
    struct nics *known, *former;
    struct kept *kept;
};

// Applies what the request has. 0, or -1 with the reason: nothing was.
int set_perform(const struct wire_frame *f, const struct set_context *context,
                struct set_report *out, char why[static WHY_MAX]);
// As keys of an OK.
void set_answer(const struct set_report *r, struct wire_writer *w);
// A line for the guest's log.
void set_log(const struct set_report *r);
