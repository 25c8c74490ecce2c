// Clients that connect to a stream socket, as QEMU's `-netdev stream` does, and those whose
// connection is handed over.
#pragma once

#include "vnet/daemon/port.h"

struct stream;

struct stream *stream_new(struct daemon *d, const char *path, struct err *e);
void stream_free(struct stream *s); // with those who have not sent a frame yet

// Sends frames, without waiting; `sent` is how much of the first one has gone already, header
// included. Returns how many are done with, at least one; -1 with errno.
int stream_send(int fd, size_t *sent, struct frame *const *frames, unsigned n);

// `fd` is the port's on success; `peer` is whom to name. ERR_USAGE where it is no stream socket.
struct port *stream_attach(struct daemon *d, const char *peer, int fd, const struct place *place,
                           struct err *e);
