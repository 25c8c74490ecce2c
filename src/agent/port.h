// The virtio-serial port that leads to Host.
#pragma once

// Opens the port of that name, non-blocking, with SIGIO for whatever happens on it. Returns -1
// with errno; ENOENT means there is none (yet), EBUSY that another process has it.
int port_open(const char *name);
