// The daemon's side of the egress process: starts it, tells it what the lab forwards and what the
// host's own networks are, hands frames over both ways, and starts it anew when it has ended.
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct daemon;
struct egress;
struct egress_message;
struct frame;

// Sets d->egress. `exe` is this program, which is started at once where the lab leads anywhere,
// else with the first frame (of DNS over TCP). -1 where it cannot be.
int egress_open(struct daemon *d, const char *exe, struct err *e);
void egress_free(struct egress *x); // NULL too

// A frame from the lab.
void egress_output(struct egress *x, struct frame *f);
// A port of the host, and the socket that listens there, which stays the caller's; or none, where
// it ends.
void egress_say_inlet(struct egress *x, const struct egress_message *inlet, int fd);
// The answer to a query that its process has asked.
void egress_dns_answer(struct egress *x, uint64_t token, const uint8_t *message, size_t n);
// At the end of a turn.
void egress_flush(struct egress *x);
// Now and then: whether the host's networks have changed.
void egress_sweep(struct egress *x);

// For `status`.
json_t *egress_document(const struct daemon *d);
