// Fills a struct from a tree, through its section of the schema.
#pragma once

#include "vnet/labfile/schema.h"

// `base` is zeroed. What was filled in before an error is freed by schema_free().
int read_section(struct reader *r, const struct section *s, const struct tree *from, void *base,
                 unsigned ordinal);
