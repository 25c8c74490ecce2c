// Clients and frames that never became a plug's, counted by reason.
#pragma once

#include <jansson.h>
#include <stdint.h>

enum refusal {
    REFUSED_ANONYMOUS,   // a datagram from a socket without a name: nothing can be sent to it
    REFUSED_NO_MAC,      // a first frame without a source address
    REFUSED_UNKNOWN_MAC, // the lab lets no strangers in
    REFUSED_FULL,        // all plugs are taken
    REFUSED_UNREACHABLE, // accepts frames only from another socket, or has gone
    REFUSED_LENGTH,      // a stream with a length that no frame has
    REFUSED_COUNT
};

struct refusals {
    uint64_t count[REFUSED_COUNT];
};
const char *refusal_name(enum refusal why);          // "unknown-mac"
json_t *refusals_document(const struct refusals *r); // those that happened
