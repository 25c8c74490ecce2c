// What protocols above IPv4 and IPv6 do with a packet, whichever it is.
#pragma once

#include "vnet/lab.h"

static inline bool ip_is6(const struct packet *p)
{
    return get8(p->ip, 0) >> 4 == 6;
}

// Whether p is for the one that has it, and for nobody else.
bool ip_is_own(const struct packet *p);

// Whether the checksum over p's payload and its pseudo header is right.
bool ip_is_sound(const struct packet *p, uint8_t protocol, struct bytes payload);

// The answer to p with room for n bytes of this protocol; NULL as ethernet_begin().
struct frame *ip_begin(struct packet *p, uint8_t protocol, size_t n);
// Where in such a frame the protocol's header begins.
size_t ip_payload(const struct frame *f);
// The checksum over what was written of it and its pseudo header.
uint16_t ip_checksum(const struct frame *f);
// Fills in the length, and sends it to the side p came from.
void ip_send(struct packet *p, struct frame *f);

// Tells p's sender that nobody listens there.
void ip_no_port(struct packet *p);
