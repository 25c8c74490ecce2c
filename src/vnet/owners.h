// Which plug a MAC was seen at: the switches' table, one for the whole lab.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/parse.h"

struct owner;
struct owners {
    struct owner *all;    // `per_plug` for each plug, one after the other
    uint32_t *used;       // how many of them, by plug
    struct owner **heads; // of the chains by hash
    uint32_t per_plug, mask;
    uint64_t seed;
};

enum { OWNER_NONE = -1 };

// The seed keeps a guest from choosing MACs that all fall into one chain.
void owners_init(struct owners *o, uint32_t plugs, uint32_t per_plug, uint64_t seed);
void owners_fini(struct owners *o);

// The plug that has this MAC in a network, or OWNER_NONE.
int owners_find(const struct owners *o, unsigned network, struct mac mac);
// A MAC that nobody has becomes the plug's; false when the plug has too many.
bool owners_add(struct owners *o, unsigned network, struct mac mac, unsigned plug);
void owners_forget(struct owners *o, unsigned plug);
