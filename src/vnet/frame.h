// The bytes of frames. Every header byte is read and written through these functions, which check
// the bounds: what lies beyond the end reads as zero, and what does not fit is not written.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "vnet/vnet.h"

// Bytes to read, somebody else's.
struct bytes {
    const uint8_t *at;
    size_t n;
};

// Splits the first n bytes off; false, and nothing is changed, where there are fewer.
static inline bool pull(struct bytes *rest, size_t n, struct bytes *head)
{
    if (rest->n < n)
        return false;
    *head = (struct bytes){rest->at, n};
    rest->at += n;
    rest->n -= n;
    return true;
}

static inline uint8_t get8(struct bytes b, size_t at)
{
    return at < b.n ? b.at[at] : 0;
}

static inline uint16_t get16(struct bytes b, size_t at)
{
    return (uint16_t)(get8(b, at) << 8 | get8(b, at + 1));
}

static inline uint32_t get32(struct bytes b, size_t at)
{
    return (uint32_t)get16(b, at) << 16 | get16(b, at + 2);
}

static inline struct mac get_mac(struct bytes b, size_t at)
{
    struct mac mac;
    for (size_t i = 0; i < sizeof mac.octet; i++)
        mac.octet[i] = get8(b, at + i);
    return mac;
}

static inline struct ip6 get_ip6(struct bytes b, size_t at)
{
    struct ip6 address;
    for (size_t i = 0; i < sizeof address.octet; i++)
        address.octet[i] = get8(b, at + i);
    return address;
}

static inline bool ip6_equal(const struct ip6 *a, const struct ip6 *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

// A frame being written: a buffer of the pool (pool.h). What does not fit is left out whole and
// remembered in `full`; such a frame is never sent.
struct frame {
    struct frame *next_free;
    uint8_t *data;
    size_t size, n; // of the buffer, of what is written
    uint32_t refs;  // deliveries that use it, and its writer
    uint8_t class;  // of the pool
    bool full;
};

static inline void put(struct frame *f, const void *data, size_t n)
{
    if (n > f->size - f->n) {
        f->full = true;
        return;
    }
    if (n > 0)
        memcpy(f->data + f->n, data, n);
    f->n += n;
}

static inline void put8(struct frame *f, unsigned v)
{
    put(f, &(uint8_t){(uint8_t)v}, 1);
}

static inline void put16(struct frame *f, unsigned v)
{
    put(f, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static inline void put32(struct frame *f, uint32_t v)
{
    put(f, (uint8_t[]){(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, 4);
}

static inline void put_mac(struct frame *f, struct mac mac)
{
    put(f, mac.octet, sizeof mac.octet);
}

static inline void put_zeros(struct frame *f, size_t n)
{
    for (; n > 0 && !f->full; n--)
        put8(f, 0);
}

// Over two bytes that were written before: lengths and checksums.
static inline void patch16(struct frame *f, size_t at, unsigned v)
{
    if (f->n < 2 || at > f->n - 2)
        return;
    f->data[at] = (uint8_t)(v >> 8);
    f->data[at + 1] = (uint8_t)v;
}

// What was written from `at` on.
static inline struct bytes written(const struct frame *f, size_t at)
{
    return at < f->n ? (struct bytes){f->data + at, f->n - at} : (struct bytes){f->data, 0};
}
