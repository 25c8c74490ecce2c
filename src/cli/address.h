// Addresses of a guest, as its agent told them.
#pragma once

#include <jansson.h>
#include <stdbool.h>

// Which ones: of the NIC with that role in the status ("socket", "nat"), or of any (NULL), the
// socket NIC's first; of IPv6 or of IPv4. Link-local ones count for nothing.
struct address_choice {
    const char *role;
    bool v6;
};

// As {"address","prefix","nic","mac","role"}, the first one as people would use it first; empty
// where the guest has none. The caller owns it.
json_t *addresses_of(const json_t *status, const struct address_choice *choice);
bool has_address(const json_t *status, const struct address_choice *choice);

// Whether the VM has a NIC with that role.
bool has_nic(const json_t *status, const char *role);
