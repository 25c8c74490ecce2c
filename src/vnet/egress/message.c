// Makes and checks messages.
#include "vnet/egress/message.h"

#include <string.h>

#include "vnet/frame.h"

enum { AT_ETHERTYPE = 12 };

struct egress_message egress_message(enum egress_kind kind)
{
    return (struct egress_message){.ethertype = {EGRESS_ETHERTYPE >> 8, EGRESS_ETHERTYPE & 0xff},
                                   .kind = (uint8_t)kind};
}

bool egress_is_message(const uint8_t *data, size_t n)
{
    return get16((struct bytes){data, n}, AT_ETHERTYPE) == EGRESS_ETHERTYPE;
}

bool egress_read(const uint8_t *data, size_t n, struct egress_message *out)
{
    if (n != sizeof *out)
        return false;
    memcpy(out, data, n);
    return out->kind < EGRESS_KINDS && out->network_count <= EGRESS_NETWORKS_MAX &&
           out->n <= EGRESS_DATA_MAX && memchr(out->text, 0, sizeof out->text);
}
