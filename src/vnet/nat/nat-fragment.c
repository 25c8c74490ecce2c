// A small ring: fragments follow each other closely.
#include "vnet/nat/nat-fragment.h"

#define FRAGMENT_LIFE (30 * 1000000000ull) // ns; about RFC 1122's least (3.3.2)

static bool is_same(const struct fragment_id *a, const struct fragment_id *b)
{
    return a->from == b->from && a->to == b->to && a->protocol == b->protocol && a->id == b->id;
}

void nat_fragments_add(struct nat_fragments *n, uint64_t now, const struct fragment_id *id,
                       uint32_t address)
{
    unsigned at = n->next;
    for (unsigned i = 0; i < NAT_FRAGMENTS; i++)
        if (is_same(&n->all[i].id, id))
            at = i;
    if (at == n->next)
        n->next = (n->next + 1) % NAT_FRAGMENTS;
    n->all[at].id = *id;
    n->all[at].address = address;
    n->all[at].until = now + FRAGMENT_LIFE;
}

uint32_t nat_fragments_find(const struct nat_fragments *n, uint64_t now,
                            const struct fragment_id *id)
{
    for (unsigned i = 0; i < NAT_FRAGMENTS; i++)
        if (n->all[i].address && n->all[i].until > now && is_same(&n->all[i].id, id))
            return n->all[i].address;
    return 0;
}
