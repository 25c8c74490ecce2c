// The guest's memory, as the engine shares it: the regions of vhost-user's memory table. What is in
// it changes under our eyes, so whatever is checked must have been copied first.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/fds.h"

enum { GUEST_REGIONS_MAX = 8 };

// As in the message SET_MEM_TABLE.
struct guest_region {
    uint64_t guest;  // address in the guest
    uint64_t size;   // bytes
    uint64_t user;   // address in the engine's process
    uint64_t offset; // in the file
};

struct guest_memory {
    int count;
    struct {
        struct guest_region is;
        uint8_t *data;
        void *map;
        size_t map_size;
    } at[GUEST_REGIONS_MAX];
};

// Maps `n` regions in place of what was there, each of the next file in `files`. On failure there
// is no memory.
int guest_memory_map(struct guest_memory *m, const struct guest_region *regions, int n,
                     struct fds *files, struct err *e);
void guest_memory_unmap(struct guest_memory *m);

// Where a guest address lies, and in *n (in: how much is wanted) how much follows it there. NULL:
// nowhere.
uint8_t *guest_memory_at(const struct guest_memory *m, uint64_t guest, size_t *n);
// The same for an address of the engine's, `n` bytes of one region.
void *guest_memory_user(const struct guest_memory *m, uint64_t user, size_t n);
