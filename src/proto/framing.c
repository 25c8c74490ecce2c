// Lengths before frames.
#include "proto/framing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

enum { BUFFER = FRAMING_HEADER + FRAMING_MAX + FRAMING_READ_MAX };

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

void framing_init(struct framing *s)
{
    *s = (struct framing){.buffer = xcalloc(1, BUFFER)};
}

void framing_fini(struct framing *s)
{
    free(s->buffer);
}

bool framing_fill(struct framing *s, int fd, struct err *e)
{
    ssize_t n = recv(fd, s->buffer + s->n, FRAMING_READ_MAX, MSG_DONTWAIT);
    if (n > 0)
        s->n += (size_t)n;
    else if (n == 0)
        err_set(e, ERR_FAILED, "end of the stream");
    else if (errno != EAGAIN && errno != EINTR)
        err_sys(e, "cannot read");
    else
        return true;
    return n > 0;
}

void framing_skip(struct framing *s, size_t n)
{
    s->n -= n;
    memmove(s->buffer, s->buffer + n, s->n);
}

int framing_pass(struct framing *s, void (*take)(void *arg, const uint8_t *frame, size_t n),
                 void *arg, struct err *e)
{
    size_t at = 0;
    long took;
    while ((took = framing_take(s->buffer + at, s->n - at, e)) > 0) {
        take(arg, s->buffer + at + FRAMING_HEADER, (size_t)took - FRAMING_HEADER);
        at += (size_t)took;
    }
    framing_skip(s, at);
    return took < 0 ? -1 : 0;
}
