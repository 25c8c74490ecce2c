// The Internet checksum: the ones' complement of the ones' complement sum of 16-bit words.
#include "vnet/ip/checksum.h"

// Four bytes at a time, in whatever order this machine has them: the sum is swapped as its words
// are (RFC 1071, 2 (B)).
uint32_t checksum_add(uint32_t sum, struct bytes b)
{
    uint64_t words = 0;
    uint32_t word;
    size_t at = 0;
    for (; at + sizeof word <= b.n; at += sizeof word) {
        memcpy(&word, b.at + at, sizeof word);
        words += word;
    }
    while (words >> 16)
        words = (words & 0xffff) + (words >> 16);
    const uint16_t folded = (uint16_t)words;
    sum += get16((struct bytes){(const uint8_t *)&folded, sizeof folded}, 0);
    for (; at < b.n; at += 2)
        sum += get16(b, at); // an odd last byte is followed by a zero
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
