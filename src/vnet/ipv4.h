// IPv4 (RFC 791, RFC 1122), at the router.
#pragma once

#include "vnet/lab.h"

enum { IPV4_HEADER = 20 }; // without options
enum { PROTOCOL_ICMP = 1, PROTOCOL_UDP = 17 };

#define IPV4_BROADCAST UINT32_MAX

void ipv4_input(struct packet *p, struct bytes payload);

// The addresses of a network's hosts, without its own and its broadcast address.
bool ipv4_is_host(const struct network *net, uint32_t address);

// An answer from the router's address with room for n bytes; NULL as ethernet_begin().
struct frame *ipv4_begin(struct packet *p, struct mac to_mac, uint32_t to, uint8_t protocol,
                         size_t n);
// Fills in length and checksum, and sends.
void ipv4_send(struct packet *p, struct frame *f);
