// The bounds of what the capture process is told.
#include "vnet/capture/record.h"

#include <stdbool.h>
#include <string.h>

static bool interface_fits(const struct record *r)
{
    return r->size >= 1 && r->size <= RECORD_NAME_MAX;
}

static bool packet_fits(const struct record *r)
{
    return r->size <= VNET_FRAME_MAX && r->size <= r->length && r->direction <= VNET_DOWN &&
           r->drop >= -1 && r->drop < VNET_DROP_COUNT;
}

static bool lost_fits(const struct record *r)
{
    return r->size == 0;
}

static bool fits(const struct record *r)
{
    static bool (*const by_type[])(const struct record *) = {
        [RECORD_INTERFACE] = interface_fits,
        [RECORD_PACKET] = packet_fits,
        [RECORD_LOST] = lost_fits,
    };
    return r->plug < RECORD_PLUGS && r->type < sizeof by_type / sizeof *by_type &&
           by_type[r->type] && by_type[r->type](r);
}

ssize_t record_read(const void *data, size_t n, struct record *out, struct err *e)
{
    if (n < sizeof *out)
        return 0;
    memcpy(out, data, sizeof *out);
    if (!fits(out))
        return err_set(e, ERR_FAILED, "a record makes no sense (type %u, plug %u, %u bytes)",
                       out->type, out->plug, out->size);
    return n - sizeof *out < out->size ? 0 : (ssize_t)(sizeof *out + out->size);
}
