// Fuzzes lengths before frames: in whatever pieces they come, the same frames are taken.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "proto/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Stands for all frames, and for the length that was wrong.
static uint64_t take_in_pieces(const uint8_t *data, size_t size, size_t piece)
{
    uint64_t seen = 0;
    size_t from = 0;
    uint8_t *buffer = xcalloc(1, size); // of its own, so that a sanitizer sees its end
    for (size_t to = piece < size ? piece : size;; to += piece < size - to ? piece : size - to) {
        struct err e;
        long took;
        memcpy(buffer + from, data + from, to - from);
        while ((took = framing_take(buffer + from, to - from, &e)) > 0) {
            uint64_t step[2] = {seen, hash_bytes(buffer + from, (size_t)took)};
            seen = hash_bytes(step, sizeof step);
            from += (size_t)took;
            if (from > to)
                abort();
        }
        if (took < 0)
            seen = ~seen;
        if (took < 0 || to == size)
            break;
    }
    free(buffer);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (take_in_pieces(data + 1, size - 1, size) != take_in_pieces(data + 1, size - 1, data[0] + 1))
        abort();
    return 0;
}
