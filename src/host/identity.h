// What a guest is given as soon as its agent answers, before it counts as ready.
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdint.h>

#include "host/settings.h"

struct host;

struct identity {
    struct settings settings; // of the last request
    bool asked;               // and its answer is awaited
    bool early;               // it was sent before the agent said anything
    bool apparent;            // what its network may see of a fork is set
    bool given;               // the names are set; later somebody may give it others
    struct event *rest;       // is asked for then
    int tries;
    int64_t asked_at;
    json_t *refused; // [{"item","error"}]; NULL: nothing was
};

// The guest of a saved state runs: asks at once, without waiting for its agent to answer the
// greeting.
void identity_begin(struct host *h);
// The agent answers the greeting: asks, unless it was asked already.
void identity_greeted(struct host *h);
// The guest goes on after a pause in which its clock stood, or has to be asked for MACs once more.
void identity_again(struct host *h);
// The guest rebooted: an image in memory has forgotten its names.
void identity_reset(struct host *h);
void identity_clear(struct host *h);
