// Keys at a terminal that are for us and not for the guest, as ssh has them: at the beginning of a
// line "~." leaves and "~~" is a "~". Everything else passes.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct escape {
    bool inside; // of a line
    bool held;   // a "~" that may be the first of two
};

// Of `n` keys those for the guest, into `out`: at most n + 1 of them, and `keys` may be out + 1.
// Those that follow a "~." are thrown away.
size_t escape_filter(struct escape *x, const char *keys, size_t n, char *out, bool *leave);
