// The router's DNS server.
#pragma once

#include "vnet/lab.h"

enum { DNS_PORT = 53 };

// By UDP.
void dns_input(struct packet *p, struct bytes message);

// A message that answers the query in p, from elsewhere; where it is longer than the client takes,
// what stands for it.
void dns_send(struct packet *p, struct bytes message, struct bytes query);

// "I failed", in `room` bytes at `out`. Returns its length.
size_t dns_servfail(struct bytes query, uint8_t *out, size_t room);
