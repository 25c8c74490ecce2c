// What a lab file may say: one table of keys for each kind of mapping. Reading, checking, printing
// and freeing go through them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct type;
struct tree;
struct labfile;
struct section;

// One of the words that a key takes; the end of them has no name.
struct choice {
    const char *name;
    unsigned value;
};

struct key {
    const char *name;
    const struct type *type;       // of a value; NULL: it is a mapping
    const struct section *section; // of a mapping

    // Where it goes: the field's place in the struct of the section, and its size. Of lists and
    // tables, the pointer's place, and an element's size.
    size_t at, size;
    size_t count;  // lists and tables: the place of their length, an unsigned
    unsigned most; // and how many elements there may be; 0: this is neither
    size_t beside; // from the field to its second one: a prefix's length, or the same for `both`

    uint64_t min, max; // numbers, durations, prefix lengths
    uint64_t unit;     // durations: what the field counts, in ns
    const char *usual; // the default, where it is always the same
    bool optional;     // zero means that there is none
    bool inverted;     // the field says the opposite
    bool both;         // sets two fields that have keys of their own, too
    const char *what;  // choices: "NAT preset"
    struct choice (*choice)(unsigned i);
};

struct reader {
    struct labfile *lab;
    const char *file;
    struct err *e;
};

struct section {
    const char *what;         // "a network"
    const struct key *keys;   // ends with name NULL
    const char *shorthand;    // the key that is meant by what is no mapping
    const struct type *names; // of a table: what its names are
    // Fills in the defaults that depend on other values; `ordinal` counts a table's elements from
    // 1. Called when all keys are read.
    int (*complete)(struct reader *r, const struct tree *from, void *element, unsigned ordinal);
};

extern const struct section schema_lab;

const struct key *schema_find(const struct section *s, const char *name); // NULL: unknown
// "lan, lan6, wan"; cut when it is longer.
void schema_names(const struct section *s, char *out, size_t size);

// Frees what a struct that was filled through `s` owns.
void schema_free(const struct section *s, void *element);

// The elements of a list or a table in the struct at `base`, and how many they are.
void *schema_list(const struct key *key, const void *base, unsigned *count);
