// Bytes as hexadecimal digits.
#pragma once

#include <stddef.h>
#include <stdint.h>

// 0 to 15, or -1.
int hex_digit(char c);
// Decodes all of it, in either case. Returns how many bytes, or -1: other characters, or too long.
long hex_decode(const char *hex, uint8_t *out, size_t cap);
