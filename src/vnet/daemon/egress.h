// The daemon's side of the egress process: starts it, tells it what the lab forwards and what the
// host's own networks are, hands frames over both ways, and starts it anew when it has ended.
#pragma once

#include <jansson.h>

#include "base/err.h"

struct daemon;
struct egress;
struct frame;

// Sets d->egress where the lab has a way out. `exe` is this program. -1 where it cannot be started.
int egress_open(struct daemon *d, const char *exe, struct err *e);
void egress_free(struct egress *x); // NULL too

// A frame from the lab.
void egress_output(struct egress *x, struct frame *f);
// At the end of a turn.
void egress_flush(struct egress *x);
// Now and then: whether the host's networks have changed.
void egress_sweep(struct egress *x);

// For `status`; null: none.
json_t *egress_document(const struct daemon *d);
