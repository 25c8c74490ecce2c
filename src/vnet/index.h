// A hash index: finds what has a key of 128 bits, in the same time among ten and among thousands.
#pragma once

#include <stdint.h>

struct key {
    uint64_t high, low;
};

// Lies in the struct that is found.
struct indexed {
    struct indexed *next;
    struct key key;
};

struct index {
    struct indexed **heads; // of the chains by hash
    uint32_t mask;
    uint64_t seed;
};

// For about so many. The seed keeps a guest from choosing keys that all fall into one chain.
void index_init(struct index *x, uint32_t count, uint64_t seed);
void index_fini(struct index *x);

// NULL: nothing has the key.
struct indexed *index_find(const struct index *x, struct key key);
void index_add(struct index *x, struct indexed *one, struct key key);
void index_remove(struct index *x, struct indexed *one);
