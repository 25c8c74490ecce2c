// Names that are addresses: 1.0.168.192.in-addr.arpa (RFC 1035, 3.5) and the nibbles of ip6.arpa
// (RFC 3596, 2.5).
#pragma once

#include "vnet/services/names.h"

struct reverse {
    enum rr_type type; // RR_A, RR_AAAA; RR_NONE: only the beginning of an address
    size_t n;          // its bytes
    uint8_t octet[16];
};

// False for a name that is none.
bool reverse_read(const struct name *name, struct reverse *out);
