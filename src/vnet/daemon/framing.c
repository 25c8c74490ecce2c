// Lengths before frames.
#include "vnet/daemon/framing.h"

long framing_take(const uint8_t *data, size_t n, struct err *e)
{
    if (n < FRAMING_HEADER)
        return 0;
    uint32_t length =
        (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
    if (length > FRAMING_MAX)
        return err_set(e, ERR_USAGE, "a frame of %u bytes", length);
    return n - FRAMING_HEADER < length ? 0 : (long)length + FRAMING_HEADER;
}

void framing_put(uint8_t out[static FRAMING_HEADER], uint32_t length)
{
    for (int i = 0; i < FRAMING_HEADER; i++)
        out[i] = (uint8_t)(length >> (24 - 8 * i));
}
