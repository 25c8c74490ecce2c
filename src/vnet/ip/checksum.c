// The Internet checksum: the ones' complement of the ones' complement sum of 16-bit words.
#include "vnet/ip/checksum.h"

uint32_t checksum_add(uint32_t sum, struct bytes b)
{
    for (size_t i = 0; i < b.n; i += 2)
        sum += get16(b, i); // an odd last byte is followed by a zero
    return sum;
}

uint16_t checksum_finish(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

uint16_t checksum_change(uint16_t sum, uint16_t old, uint16_t new)
{
    return checksum_finish((uint32_t)(uint16_t)~sum + (uint16_t)~old + new);
}

uint32_t checksum_pseudo(uint32_t from, uint32_t to, uint8_t protocol, size_t n)
{
    return (from >> 16) + (from & 0xffff) + (to >> 16) + (to & 0xffff) + protocol + (uint32_t)n;
}
