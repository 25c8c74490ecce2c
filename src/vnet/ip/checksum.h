// The Internet checksum (RFC 1071).
#pragma once

#include "vnet/frame.h"

// Sums are added up part by part; every part but the last has an even length. 64 KiB in all.
uint32_t checksum_add(uint32_t sum, struct bytes b);
// What goes into the header; 0 when the checksum was summed up too and is right.
uint16_t checksum_finish(uint32_t sum);

// The checksum after one word of what it sums has changed (RFC 1624, 3).
uint16_t checksum_change(uint16_t sum, uint16_t old, uint16_t new);

// The sum of a pseudo header (RFC 768): addresses, protocol, length.
uint32_t checksum_pseudo(uint32_t from, uint32_t to, uint8_t protocol, size_t n);
