// IPv4 (RFC 791, RFC 1122, RFC 1812), at a router and at a host of the internet.
#pragma once

#include "vnet/lab.h"

enum { IPV4_HEADER = 20 }; // without options
enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

// Where the fields of a header are.
enum {
    IPV4_LENGTH = 2,
    IPV4_ID = 4,
    IPV4_FRAGMENT = 6, // flags and offset
    IPV4_TTL = 8,
    IPV4_PROTOCOL = 9,
    IPV4_CHECKSUM = 10,
    IPV4_FROM = 12,
    IPV4_TO = 16,
};
enum { IPV4_DONT_FRAGMENT = 0x4000, IPV4_MORE_FRAGMENTS = 0x2000, IPV4_OFFSET = 0x1fff };

#define IPV4_BROADCAST UINT32_MAX

// A packet for the router of p->network; for p->host where there is one.
void ipv4_input(struct packet *p, struct bytes packet);

// The addresses of a network's hosts, without its own and its broadcast address.
bool ipv4_is_host(const struct network *net, uint32_t address);
bool ipv4_is_broadcast(const struct network *net, uint32_t address);
bool ipv4_is_multicast(uint32_t address);

// Whether p is for the one that has it, and for nobody else.
bool ipv4_is_own(const struct packet *p);
// What an answer to p, or an error about it, has as its source: the address that was asked, else
// the router's on the side p came from.
uint32_t ipv4_answer_from(const struct packet *p);

// An answer to p with room for n bytes; NULL as ethernet_begin(). The MAC counts where p came from
// a plug.
struct frame *ipv4_begin(struct packet *p, struct mac to_mac, uint32_t from, uint32_t to,
                         uint8_t protocol, size_t n);
// Fills in length and checksum, and sends it to the side p came from.
void ipv4_send(struct packet *p, struct frame *f);

// ipv4-forward.c: on to where its destination, p->to, is. The frame is the caller's to change, and
// stays the caller's.
void ipv4_forward(struct packet *p, struct frame *f);

void ipv4_use_up_ttl(struct frame *f);
// It may be cut from now on.
void ipv4_let_fragment(struct frame *f);

// ipv4-fragment.c: whether a packet fits, or may be made to. Else it is dropped and its sender
// told.
bool ipv4_fits(struct packet *p, const struct frame *f, size_t mtu);
// Sends such a packet, whole or in fragments.
void ipv4_transmit(struct packet *p, struct frame *f, size_t mtu,
                   void (*send)(struct packet *p, struct frame *f));
