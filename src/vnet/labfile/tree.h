// A YAML file as a small tree that knows where everything stands.
//
// Strict: one document; no anchors, aliases or tags; no key twice in a mapping. Bounded: 16 deep,
// TREE_NODES_MAX keys and values.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "vnet/labfile/labfile.h"

enum { TREE_DEPTH_MAX = 16, TREE_NODES_MAX = 50000 };

enum tree_kind { TREE_SCALAR, TREE_LIST, TREE_MAPPING };

struct tree {
    enum tree_kind kind;
    struct labfile_position at;
    char *text;  // a scalar's; holds no NUL but its last
    bool quoted; // a scalar in quotes, or a block of lines
    char *key;   // of a mapping's value, and where it is
    struct labfile_position key_at;
    struct tree **children; // of a list, in its order; of a mapping, likewise
    unsigned count;
};

// An empty text is an empty mapping. NULL with *e.
struct tree *tree_parse(const char *text, size_t n, const char *file, struct err *e);
void tree_free(struct tree *t);

// The value of a mapping's key; NULL: it has no such key, or is no mapping.
const struct tree *tree_get(const struct tree *t, const char *key);

// A mapping, or nothing at all (`home:`), which counts as an empty one.
bool tree_is_mapping(const struct tree *t);

// ERR_USAGE with the place in front; returns -1.
int tree_err(struct err *e, const char *file, struct labfile_position at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
