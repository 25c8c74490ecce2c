// The public datagram socket: whoever sends a frame to its path becomes a client.
//
// Linux lets a connected datagram socket receive from its peer only. So a client that has connected
// itself to the public socket is answered from that very socket, and a new one takes the path over
// ("rotation"); one that has not connected gets a fresh socket to be sent to by. One socket for all
// would do for neither: one stalled client could fill its buffer. Those share one that connected
// themselves before the first of them spoke.
#pragma once

#include "base/err.h"

struct daemon;
struct datagram;

// The path is free: the caller holds its lock, and nobody answers there.
struct datagram *datagram_new(struct daemon *d, const char *path, struct err *e);
void datagram_retire(struct datagram *g); // takes the path away
void datagram_free(struct datagram *g);   // after its clients

// A socket bound at `path` by way of PATH.new, so that the path is never without one. -1 with *e.
int datagram_bind(const char *path, struct err *e);
