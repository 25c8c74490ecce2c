// DNS over TCP (RFC 7766): a router's port 53 is a port of the egress, which ends the connections
// and asks the core again (vnet_dns_query()). For the LAN, by IPv4.
#pragma once

#include "vnet/lab.h"

// Whether a packet for the router itself belongs to such a connection.
bool dns_tcp_takes(const struct packet *p, struct bytes header, struct bytes payload);
// To the egress, and back, in a frame whose packet may be written to.
void dns_tcp_out(struct packet *p, struct frame *f);
void dns_tcp_in(struct packet *p, struct frame *f);
