// The virtio-serial port that leads to Host.
#pragma once

#include <stdbool.h>

// Opens the port of that name, non-blocking. Returns -1 with errno; ENOENT means there is none
// (yet), EBUSY that another process has it.
int port_open(const char *name);
// Whether whatever happens on it sends SIGIO.
void port_signal(int fd, bool on);
