// ICMP (RFC 792), at a router and at a host of the internet.
#pragma once

#include "vnet/lab.h"

enum { ICMP_HEADER = 8 };

// Type and code of errors.
enum {
    ICMP_NET_UNREACHABLE = 0x0300,
    ICMP_HOST_UNREACHABLE = 0x0301,
    ICMP_PROTOCOL_UNREACHABLE = 0x0302,
    ICMP_PORT_UNREACHABLE = 0x0303,
    ICMP_FRAGMENTATION_NEEDED = 0x0304, // info: the MTU
    ICMP_TIME_EXCEEDED = 0x0b00,
};

void icmp_input(struct packet *p, struct bytes message);

// Whether a message's type is that of an error, of a ping.
bool icmp_is_error(struct bytes message);
bool icmp_is_request(struct bytes message);

// Tells p's sender what became of p->ip; not always, as RFC 1812, 4.3.2 says.
void icmp_error(struct packet *p, unsigned type_and_code, uint32_t info);

// The same of a packet whose destination did not answer (neighbour.h).
void icmp_no_neighbour(struct packet *p, struct bytes packet);
