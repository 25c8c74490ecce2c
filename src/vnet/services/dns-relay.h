// Queries for names that the lab does not know, which are asked of the egress's resolver. As many
// as it remembers may be open; where there is another one, the oldest fails, as it does when there
// is no answer in time.
#pragma once

#include "vnet/lab.h"
#include "vnet/services/dns-message.h"

struct relay;

struct relay *relay_new(void);
void relay_free(struct relay *r);

// A query that came in `p`; where `token` is not 0, by vnet_dns_query() instead, for p->network.
// False: it is too long, and nothing happens.
bool relay_ask(struct packet *p, struct bytes query, uint64_t token);

// A datagram for the way out's router.
void relay_input(struct packet *p, unsigned from_port, unsigned to_port, struct bytes message);
