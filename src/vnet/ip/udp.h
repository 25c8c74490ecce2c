// UDP (RFC 768), at the router and at hosts of the internet.
#pragma once

#include "vnet/lab.h"

enum { UDP_HEADER = 8 };

void udp_input(struct packet *p, struct bytes datagram);

// An answer to p, be it IPv4 or IPv6, from a port of the address that was asked, with room for n
// bytes; NULL as ethernet_begin().
struct frame *udp_begin(struct packet *p, unsigned from_port, unsigned to_port, size_t n);
// The same to somebody else, by IPv4.
struct frame *udp_begin_to(struct packet *p, struct mac to_mac, uint32_t to, unsigned from_port,
                           unsigned to_port, size_t n);
// Fills in length and checksum, and sends.
void udp_send(struct packet *p, struct frame *f);
