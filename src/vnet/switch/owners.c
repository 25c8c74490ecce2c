// A hash table with chains from (network, MAC) to plug. A plug's entries lie side by side, so its
// limit needs no bookkeeping and its removal no search.
#include "vnet/switch/owners.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/mem.h"
#include "vnet/random.h"

static uint64_t key_of(unsigned network, struct mac mac)
{
    uint64_t key = network;
    for (unsigned i = 0; i < sizeof mac.octet; i++)
        key = key << 8 | mac.octet[i];
    return key;
}

static struct owner **chain_of(const struct owners *o, uint64_t key)
{
    return &o->heads[random_mix(key ^ o->seed) & o->mask];
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

struct owner *owners_find(const struct owners *o, unsigned network, struct mac mac)
{
    uint64_t key = key_of(network, mac);
    struct owner *one = *chain_of(o, key);
    while (one && one->key != key)
        one = one->next;
    return one;
}

unsigned owners_plug(const struct owners *o, const struct owner *one)
{
    return (unsigned)((size_t)(one - o->all) / o->per_plug);
}

struct mac owners_mac(const struct owner *one)
{
    struct mac mac;
    for (unsigned i = 0; i < sizeof mac.octet; i++)
        mac.octet[i] = (uint8_t)(one->key >> 8 * (sizeof mac.octet - 1 - i));
    return mac;
}

static void link_in(struct owners *o, struct owner *one)
{
    struct owner **chain = chain_of(o, one->key);
    one->next = *chain;
    *chain = one;
}

static void link_out(struct owners *o, struct owner *one)
{
    struct owner **at = chain_of(o, one->key);
    while (*at != one)
        at = &(*at)->next;
    *at = one->next;
}

// The plug's last entry moves into the gap.
void owners_remove(struct owners *o, struct owner *one)
{
    unsigned plug = owners_plug(o, one);
    struct owner *last = &o->all[(size_t)plug * o->per_plug + --o->used[plug]];
    link_out(o, one);
    if (one == last)
        return;
    link_out(o, last);
    *one = *last;
    link_in(o, one);
}

static bool make_room(struct owners *o, unsigned plug, uint64_t stale)
{
    struct owner *first = &o->all[(size_t)plug * o->per_plug];
    struct owner *oldest = first;
    for (struct owner *one = first; one < first + o->per_plug; one++)
        if (one->seen < oldest->seen)
            oldest = one;
    if (oldest->seen >= stale)
        return false;
    owners_remove(o, oldest);
    return true;
}

bool owners_add(struct owners *o, unsigned network, struct mac mac, unsigned plug, uint64_t now,
                uint64_t stale)
{
    if (o->used[plug] == o->per_plug && !make_room(o, plug, stale))
        return false;
    struct owner *one = &o->all[(size_t)plug * o->per_plug + o->used[plug]++];
    *one = (struct owner){.key = key_of(network, mac), .seen = now};
    link_in(o, one);
    return true;
}

void owners_forget(struct owners *o, unsigned plug)
{
    while (o->used[plug] > 0)
        owners_remove(o, &o->all[(size_t)plug * o->per_plug + o->used[plug] - 1]);
}
