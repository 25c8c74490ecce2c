// Puts the fragments of a packet for the router itself together (RFC 791, 3.2; RFC 8200, 4.5).
#pragma once

#include "vnet/lab.h"

struct reassembly *reassembly_new(struct network *net);
void reassembly_free(struct reassembly *r);

enum { REASSEMBLY_HEADER_MAX = 128 }; // bytes; what has more is dropped

struct fragment {
    struct ip6 from, to; // these four say which packet's it is; IPv4's addresses are mapped
    uint32_t id;
    uint8_t protocol;
    size_t at; // in the payload
    bool more; // it is not the last
    struct bytes header, payload;
};

// NULL: others are missing yet, or it does not fit them and is dropped. Else the whole packet is
// p->ip, with the header of the first fragment as it was; it lies in this frame, which is the
// caller's to release.
struct frame *reassembly_add(struct packet *p, const struct fragment *part);
