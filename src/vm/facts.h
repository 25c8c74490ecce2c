// What tells whether a file is still what it was: its size, its time, and samples of its content.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct facts {
    uint64_t size;
    uint64_t inode;
    int64_t created; // ns; with the inode it tells the file from every other
    int64_t mtime;   // ns
    uint64_t sample; // digest of the first bytes and of blocks spread evenly
};

int facts_of(int fd, struct facts *out); // -1 with errno

// Whether the file in `fd` is still as it was: 1, 0, or -1 with errno. The same file is so by its
// time; another one (a copied directory) by the sample, and when `strict` by its time, too.
int facts_hold(int fd, const struct facts *was, bool strict);

json_t *facts_to_json(const struct facts *f);
bool facts_from_json(const json_t *doc, struct facts *out); // false: it is damaged
