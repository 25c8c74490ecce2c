// TCP segments whose headers have no options, in frames: where things are, and how they change.
#pragma once

#include "vnet/frame.h"
#include "vnet/ip/ipv4.h"
#include "vnet/ip/tcp.h"
#include "vnet/switch/ethernet.h"

enum {
    SEGMENT_IP = ETHERNET_HEADER,
    SEGMENT_TCP = SEGMENT_IP + IPV4_HEADER,
    SEGMENT_SEQUENCE = SEGMENT_TCP + 4,
    SEGMENT_ACK = SEGMENT_TCP + 8,
    SEGMENT_FLAGS = SEGMENT_TCP + 12, // and the header's length
    SEGMENT_SUM = SEGMENT_TCP + 16,
    SEGMENT_URGENT = SEGMENT_TCP + 18,
    SEGMENT_DATA = SEGMENT_TCP + TCP_HEADER,
};

// Whether it is an IPv4 packet without options, of whatever protocol.
bool segment_is_packet(struct bytes frame);
// Whether it is one, whole, that acknowledges, and has none but these flags besides.
bool segment_is_plain(struct bytes frame, unsigned flags);

// Of the pseudo header and the header.
uint32_t segment_header_sum(struct bytes frame);

void segment_write16(uint8_t *at, size_t v);
// A word of the IP header, and its checksum.
void segment_change_ip(uint8_t *frame, size_t at, size_t v);
// The TCP checksum, of which `data` is the data's part.
void segment_seal(uint8_t *frame, size_t n, uint32_t data);
