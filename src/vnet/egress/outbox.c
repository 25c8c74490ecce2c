// A ring of buffers.
#include "vnet/egress/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"

enum { SLOTS = 512 };

struct outbox {
    int fd;
    size_t max;
    unsigned first, count;
    size_t sizes[SLOTS];
    uint8_t *memory;
};

struct outbox *outbox_new(int fd, size_t datagram_max)
{
    struct outbox *o = xcalloc(1, sizeof *o);
    o->fd = fd;
    o->max = datagram_max;
    o->memory = xcalloc(SLOTS, datagram_max);
    return o;
}

void outbox_free(struct outbox *o)
{
    free(o->memory);
    free(o);
}

uint8_t *outbox_put(struct outbox *o, const void *data, size_t n)
{
    if (o->count == SLOTS || n > o->max)
        return NULL;
    unsigned at = (o->first + o->count++) % SLOTS;
    o->sizes[at] = n;
    return memcpy(o->memory + at * o->max, data, n);
}

int outbox_flush(struct outbox *o)
{
    struct os_datagram d[OS_DATAGRAMS_MAX];
    while (o->count > 0) {
        unsigned n = 0;
        for (; n < OS_DATAGRAMS_MAX && n < o->count; n++) {
            unsigned at = (o->first + n) % SLOTS;
            d[n] = (struct os_datagram){.data = o->memory + at * o->max, .size = o->sizes[at]};
        }
        int sent = os_send(o->fd, d, (int)n, NULL, 0);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? 1 : -1;
        o->first = (o->first + (unsigned)sent) % SLOTS;
        o->count -= (unsigned)sent;
    }
    return 0;
}
