// What the daemon tells its capture process: records, one after the other. Both ends are the same
// program on the same machine, so numbers are in its byte order; yet the reader believes nothing.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "vnet/vnet.h"

enum {
    RECORD_PLUGS = 65536, // plugs have lower numbers
    RECORD_NAME_MAX = 255,
    RECORD_BODY_MAX = VNET_FRAME_MAX,
};

enum record_type { RECORD_INTERFACE = 1, RECORD_PACKET, RECORD_LOST };

// An INTERFACE is followed by its name, a PACKET by the frame, or what is kept of it; a LOST, which
// stands where no PACKET comes any more, by nothing.
struct record {
    uint64_t wall;      // ns since 1970
    uint32_t size;      // of what follows
    uint32_t length;    // that the frame had
    uint32_t plug;      // an INTERFACE replaces the one before of the same number
    uint32_t lost;      // PACKETs of this plug between the one before and this record
    int32_t drop;       // enum vnet_drop, or -1
    uint16_t type;      // enum record_type
    uint16_t direction; // enum vnet_direction
};
_Static_assert(sizeof(struct record) == 32, "no holes");

// Takes the first record of `data`. Returns its size with what follows; 0: more is needed; -1 with
// *e: it makes no sense.
ssize_t record_read(const void *data, size_t n, struct record *out, struct err *e);
