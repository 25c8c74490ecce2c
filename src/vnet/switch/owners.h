// Which plug a MAC was seen at: the switches' table, one for the whole lab.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/parse.h"

struct owner {
    uint64_t key; // network and MAC
    uint64_t seen;
    struct owner *next;
};

struct owners {
    struct owner *all;    // `per_plug` for each plug, one after the other
    uint32_t *used;       // how many of them, by plug
    struct owner **heads; // of the chains by hash
    uint32_t per_plug, mask;
    uint64_t seed;
};

// The seed keeps a guest from choosing MACs that all fall into one chain.
void owners_init(struct owners *o, uint32_t plugs, uint32_t per_plug, uint64_t seed);
void owners_fini(struct owners *o);

// Who has this MAC in a network; NULL: nobody. The pointer is good until the next change.
struct owner *owners_find(const struct owners *o, unsigned network, struct mac mac);
unsigned owners_plug(const struct owners *o, const struct owner *one);
struct mac owners_mac(const struct owner *one);

// A MAC that nobody has becomes the plug's. When the plug has as many as it may have, it loses the
// one that was seen last before `stale`; false where there is none.
bool owners_add(struct owners *o, unsigned network, struct mac mac, unsigned plug, uint64_t now,
                uint64_t stale);
void owners_remove(struct owners *o, struct owner *one);
void owners_forget(struct owners *o, unsigned plug);
