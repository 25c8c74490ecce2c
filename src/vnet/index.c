// Chains of entries whose keys have the same hash.
#include "vnet/index.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "vnet/random.h"

void index_init(struct index *x, uint32_t count, uint64_t seed)
{
    uint32_t size = 1;
    while (size < count)
        size *= 2;
    *x = (struct index){xcalloc(size, sizeof(struct indexed *)), size - 1, seed};
}

void index_fini(struct index *x)
{
    free(x->heads);
}

static struct indexed **chain_of(const struct index *x, struct key key)
{
    return &x->heads[random_mix(random_mix(key.high ^ x->seed) ^ key.low) & x->mask];
}

struct indexed *index_find(const struct index *x, struct key key)
{
    struct indexed *one = *chain_of(x, key);
    while (one && (one->key.high != key.high || one->key.low != key.low))
        one = one->next;
    return one;
}

void index_add(struct index *x, struct indexed *one, struct key key)
{
    struct indexed **head = chain_of(x, key);
    *one = (struct indexed){*head, key};
    *head = one;
}

void index_remove(struct index *x, struct indexed *one)
{
    struct indexed **link = chain_of(x, one->key);
    while (*link != one)
        link = &(*link)->next;
    *link = one->next;
}
