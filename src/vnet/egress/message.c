// Makes and checks messages.
#include "vnet/egress/message.h"

#include <string.h>

struct egress_message egress_message(enum egress_kind kind)
{
    return (struct egress_message){.kind = (uint8_t)kind};
}

size_t egress_size(const struct egress_message *m)
{
    return offsetof(struct egress_message, data) + m->n;
}

bool egress_read(const uint8_t *data, size_t n, struct egress_message *out)
{
    *out = (struct egress_message){0};
    if (n < egress_size(out) || n > sizeof *out)
        return false;
    memcpy(out, data, n);
    return out->kind < EGRESS_KINDS && out->network_count <= EGRESS_NETWORKS_MAX &&
           out->n <= EGRESS_DATA_MAX && n == egress_size(out) &&
           memchr(out->text, 0, sizeof out->text);
}
