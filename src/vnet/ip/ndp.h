// Neighbour discovery (RFC 4861), as the router speaks it.
#pragma once

#include "vnet/lab.h"

enum { NDP_HOP_LIMIT = 255 }; // nobody beyond the link can send it
enum { NDP_SOURCE_MAC = 1, NDP_TARGET_MAC = 2 };

// What every message must be (RFC 4861, 6.1, 7.1, 8.1; RFC 6980). One that does not tell its
// source's address must not tell its MAC either.
bool ndp_is_sound(const struct packet *p, struct bytes message);

// One host's MAC in the first option of this type, in a sound message's options; false: there is
// none, and `*mac` stays.
bool ndp_find_mac(struct bytes options, unsigned type, struct mac *mac);
void ndp_put_mac(struct frame *f, unsigned type, struct mac mac);

// Learns the source's MAC, if the solicitation tells it, else it is where the frame came from.
struct mac ndp_learn_source(struct packet *p, struct bytes options);

void ndp_solicited(struct packet *p, struct bytes message);
void ndp_advertised(struct packet *p, struct bytes message);

// The router asks who has an address: the host with this MAC, or (NULL) everybody.
void ndp_solicit(struct packet *p, const struct ip6 *address, const struct mac *mac);
