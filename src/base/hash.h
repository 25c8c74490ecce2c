// A fast 64-bit digest against accidents (torn, swapped, overwritten files), not against malice.
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t n);
