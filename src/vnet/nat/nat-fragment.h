// Where the first fragments of packets went, so that the others go there too: they have no ports.
#pragma once

#include "vnet/lab.h"

struct fragment_id {
    uint32_t from, to;
    uint8_t protocol;
    uint16_t id;
};

enum { NAT_FRAGMENTS = 32 };

struct nat_fragments {
    struct {
        struct fragment_id id;
        uint32_t address; // 0: unused
        uint64_t until;
    } all[NAT_FRAGMENTS];
    unsigned next; // to be overwritten
};

void nat_fragments_add(struct nat_fragments *n, uint64_t now, const struct fragment_id *id,
                       uint32_t address);
// 0: the first fragment has not been seen, or long ago.
uint32_t nat_fragments_find(const struct nat_fragments *n, uint64_t now,
                            const struct fragment_id *id);
