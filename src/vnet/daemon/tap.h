// TAP devices whose descriptors were handed over: containers and processes of this machine.
#pragma once

#include "vnet/daemon/port.h"

// `fd` is the port's on success. ERR_USAGE where it is no TAP without headers (IFF_TAP, IFF_NO_PI).
struct port *tap_attach(struct daemon *d, int fd, const struct place *place, struct err *e);
