// A TAP interface: frames that the kernel sends on it are read from its descriptor, and back. Linux
// only: elsewhere ERR_HOST_CANNOT.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/parse.h"

struct tap {
    int fd;   // non-blocking; the interface lasts as long as any copy of it is open
    int news; // becomes readable when an interface of the namespace changes
    char name[INTERFACE_NAME_MAX + 1];
};

// Makes the interface in this process's network namespace, down, without offloads: frames have
// their checksums, and none is longer than the MTU. `name` NULL: tap0, or the next that is free.
int tap_open(const char *name, const struct mac *mac, struct tap *out, struct err *e);
void tap_close(struct tap *t);

// Sets the MTU (0: as it is) and brings it up.
int tap_up(const struct tap *t, unsigned mtu, struct err *e);

// Drops the frames that wait to be read.
void tap_drain(const struct tap *t);

// Reads `news`: whether the interface was removed.
bool tap_gone(const struct tap *t);
