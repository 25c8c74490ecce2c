// The kernel's random numbers.
#pragma once

#include "agent/kept.h"
#include "agent/why.h"

// Mixes these bytes (hexadecimal) in, counts them as random, and has the kernel use them at once:
// copies of one saved guest would all go on with the same numbers. 0 with how many in note, or -1
// with the reason.
int entropy_add(struct kept *kept, const char *hex, char note[static WHY_MAX]);
