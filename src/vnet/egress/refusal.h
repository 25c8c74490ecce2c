// Tells the lab that a packet is not let out.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { REFUSAL_MAX = 14 + 20 + 8 + 60 + 8 };

// The frame of an ICMP error ("communication administratively prohibited", RFC 1812, 5.2.7.1) about
// the packet in `frame`, which is an IPv4 packet of the lab's. Returns its length; 0: it is to have
// none.
size_t refusal_write(uint8_t out[static REFUSAL_MAX], const uint8_t *frame, size_t n);
