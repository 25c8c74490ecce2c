// ICMPv6 (RFC 4443), at the router and at hosts of the internet.
#pragma once

#include "vnet/lab.h"

enum { ICMPV6_HEADER = 4 };

// Type and code.
enum {
    ICMPV6_NO_ROUTE = 1 << 8,
    ICMPV6_BEYOND_SCOPE = 1 << 8 | 2,
    ICMPV6_NO_ADDRESS = 1 << 8 | 3,
    ICMPV6_NO_PORT = 1 << 8 | 4,
    ICMPV6_TOO_BIG = 2 << 8, // with the MTU
    ICMPV6_HOP_LIMIT = 3 << 8,
    ICMPV6_BAD_FIELD = 4 << 8, // these three with the place in the packet
    ICMPV6_BAD_NEXT_HEADER = 4 << 8 | 1,
    ICMPV6_BAD_OPTION = 4 << 8 | 2,
    ICMPV6_ECHO_REQUEST = 128 << 8,
    ICMPV6_ECHO_REPLY = 129 << 8,
    ICMPV6_ROUTER_SOLICITATION = 133 << 8,
    ICMPV6_ROUTER_ADVERTISEMENT = 134 << 8,
    ICMPV6_NEIGHBOUR_SOLICITATION = 135 << 8,
    ICMPV6_NEIGHBOUR_ADVERTISEMENT = 136 << 8,
};

void icmpv6_input(struct packet *p, struct bytes message);

// Tells p's sender what became of its packet, unless that is forbidden (RFC 4443, 2.4 (e)) or there
// were too many errors. `value` is the second word of the message.
void icmpv6_error(struct packet *p, unsigned type_code, uint32_t value);

// The same of a packet whose destination did not answer (neighbour.h).
void icmpv6_no_neighbour(struct packet *p, struct bytes packet);

// A message with room for n bytes after the first four; NULL as ethernet_begin().
// icmpv6_finish() fills in length and checksum; it is sent as in ipv6.h.
struct frame *icmpv6_begin(struct packet *p, struct mac to_mac, const struct ip6 *from,
                           const struct ip6 *to, unsigned type_code, uint8_t hop_limit, size_t n);
void icmpv6_finish(struct frame *f);
