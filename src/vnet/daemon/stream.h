// Clients that connect to a stream socket, as QEMU's `-netdev stream` does.
#pragma once

#include "base/err.h"

struct daemon;
struct stream;

struct stream *stream_new(struct daemon *d, const char *path, struct err *e);
void stream_free(struct stream *s); // with those who have not sent a frame yet
