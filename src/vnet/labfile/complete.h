// Defaults that depend on other values, and names that become indices (struct section, complete).
#pragma once

#include "vnet/labfile/labfile.h"
#include "vnet/labfile/schema.h"

int complete_name(struct reader *r, const struct tree *from, void *element, unsigned ordinal);
int complete_network(struct reader *r, const struct tree *from, void *element, unsigned ordinal);
int complete_node(struct reader *r, const struct tree *from, void *element, unsigned ordinal);
int complete_lab(struct reader *r, const struct tree *from, void *element, unsigned ordinal);

// Where a key's value is, or, where it is not there, what would have it.
struct labfile_position position_of_key(const struct tree *from, const char *key);
