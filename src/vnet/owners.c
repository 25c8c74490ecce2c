// A hash table with chains from (network, MAC) to plug. A plug's entries lie side by side, so its
// limit needs no bookkeeping and its removal no search.
#include "vnet/owners.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/mem.h"

struct owner {
    uint64_t key;
    struct owner *next;
};

static uint64_t key_of(unsigned network, struct mac mac)
{
    uint64_t key = network;
    for (unsigned i = 0; i < sizeof mac.octet; i++)
        key = key << 8 | mac.octet[i];
    return key;
}

static struct owner **chain_of(const struct owners *o, uint64_t key)
{
    uint64_t x = key ^ o->seed; // splitmix64's mixing
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return &o->heads[(x ^ x >> 31) & o->mask];
}

void owners_init(struct owners *o, uint32_t plugs, uint32_t per_plug, uint64_t seed)
{
    uint32_t chains = 1;
    while (chains < plugs * per_plug && chains < 1u << 20)
        chains *= 2;
    *o = (struct owners){
        .all = xcalloc((size_t)plugs * per_plug, sizeof *o->all),
        .used = xcalloc(plugs, sizeof *o->used),
        .heads = xcalloc(chains, sizeof(struct owner *)),
        .per_plug = per_plug,
        .mask = chains - 1,
        .seed = seed,
    };
}

void owners_fini(struct owners *o)
{
    free(o->all);
    free(o->used);
    free(o->heads);
}

int owners_find(const struct owners *o, unsigned network, struct mac mac)
{
    uint64_t key = key_of(network, mac);
    for (const struct owner *one = *chain_of(o, key); one; one = one->next)
        if (one->key == key)
            return (int)((size_t)(one - o->all) / o->per_plug);
    return OWNER_NONE;
}

bool owners_add(struct owners *o, unsigned network, struct mac mac, unsigned plug)
{
    if (o->used[plug] == o->per_plug)
        return false;
    struct owner *one = &o->all[(size_t)plug * o->per_plug + o->used[plug]++];
    one->key = key_of(network, mac);
    struct owner **chain = chain_of(o, one->key);
    one->next = *chain;
    *chain = one;
    return true;
}

void owners_forget(struct owners *o, unsigned plug)
{
    while (o->used[plug] > 0) {
        struct owner *one = &o->all[(size_t)plug * o->per_plug + --o->used[plug]];
        struct owner **at = chain_of(o, one->key);
        while (*at != one)
            at = &(*at)->next;
        *at = one->next;
    }
}
