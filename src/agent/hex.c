// Bytes as hexadecimal digits.
#include "agent/hex.h"

int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

long hex_decode(const char *hex, uint8_t *out, size_t cap)
{
    size_t n = 0;

    for (; hex[0]; hex += 2, n++) {
        int hi = hex_digit(hex[0]);
        int lo = hi < 0 ? -1 : hex_digit(hex[1]);

        if (lo < 0 || n == cap)
            return -1;
        out[n] = (uint8_t)(hi << 4 | lo);
    }
    return (long)n;
}
