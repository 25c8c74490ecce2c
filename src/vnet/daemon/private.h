// Clients with an address of their own, asked for over the control socket.
//
// The client connects to it first, then the daemon connects back: the other way round the client
// would be refused (EPERM). From then on both sides are each other's only.
#pragma once

#include <stdint.h>

#include "vnet/daemon/port.h"

// The address of the n-th there was; the caller frees.
char *private_path(const char *listen, uint64_t n);

// Removes the addresses that a killed daemon left. The caller holds the lock of the path.
void private_sweep(const char *listen);

// A socket at `address` for the client at `path`; its plug is there from now on. NULL with *e.
struct port *private_open(struct daemon *d, const char *address, const char *path,
                          const struct place *place, struct err *e);

// NULL where `p` is of another kind.
const char *private_address(const struct port *p);

// The client has connected: connects back. ERR_USAGE where `p` is of another kind.
int private_connect(struct port *p, struct err *e);
