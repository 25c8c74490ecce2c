// Random numbers that a seed decides: splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom
// number generators, 2014).
#pragma once

#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

// Streams of one seed have nothing to do with each other.
static inline struct random random_stream(uint64_t seed, uint64_t stream)
{
    return (struct random){random_mix(seed ^ random_mix(stream + 1))};
}

static inline uint64_t random_next(struct random *r)
{
    return random_mix(r->state += 0x9e3779b97f4a7c15u);
}

// 0 to n - 1, n being far below 2^64: the bias is of no account.
static inline uint64_t random_below(struct random *r, uint64_t n)
{
    return random_next(r) % n;
}
