// A buffer whose beginning has gone.
#include "vnet/egress/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "proto/framing.h"

enum { SIZE = 1 << 20 };

struct outbox {
    int fd;
    size_t first, end;
    uint8_t data[SIZE];
};

struct outbox *outbox_new(int fd)
{
    struct outbox *o = xcalloc(1, sizeof *o);
    o->fd = fd;
    return o;
}

void outbox_free(struct outbox *o)
{
    free(o);
}

uint8_t *outbox_room(struct outbox *o, size_t n)
{
    if (SIZE - o->end < FRAMING_HEADER + n && o->first > 0) {
        o->end -= o->first;
        memmove(o->data, o->data + o->first, o->end);
        o->first = 0;
    }
    if (SIZE - o->end < FRAMING_HEADER + n)
        return NULL;
    uint8_t *frame = o->data + o->end + FRAMING_HEADER;
    framing_put(o->data + o->end, (uint32_t)n);
    o->end += FRAMING_HEADER + n;
    return frame;
}

uint8_t *outbox_put(struct outbox *o, const void *frame, size_t n)
{
    uint8_t *room = outbox_room(o, n);
    return room ? memcpy(room, frame, n) : NULL;
}

int outbox_flush(struct outbox *o)
{
    while (o->first < o->end) {
        ssize_t n = send(o->fd, o->data + o->first, o->end - o->first, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? 1 : -1;
        o->first += (size_t)n;
    }
    o->first = o->end = 0;
    return 0;
}
