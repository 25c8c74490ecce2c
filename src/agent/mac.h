// MAC addresses: as text, and giving a NIC another one while it is in use.
#pragma once

#include <stdint.h>

#include "agent/kept.h"
#include "agent/nics.h"
#include "agent/why.h"

#define MAC_TEXT_SIZE 18

// "52:cc:cc:cc:cc:01", either case, nothing else: 0 or -1.
int mac_from_text(const char *text, uint8_t out[6]);
// Returns out.
char *mac_to_text(const uint8_t mac[6], char out[static MAC_TEXT_SIZE]);

// Gives the NIC with the one address the other, up or not. `known` are the NICs as they were when
// last looked at, and are as they are then; `former` gains the NIC as it was, for mac_follow().
// Done already counts as done. 0, or -1 with the reason.
int mac_set(struct kept *kept, const char *from, const char *to, struct nics *known,
            struct nics *former, char why[static WHY_MAX]);
// Makes IPv6 follow: autoconfigured addresses made from the MACs that these had go, new link-local
// ones come. Leaves none.
void mac_follow(struct nics *former);
