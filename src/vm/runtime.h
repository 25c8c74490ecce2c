// The run-time directory: sockets of running VMs, lost at reboot.
#pragma once

#include <stdbool.h>

#include "base/err.h"

// Makes (where missing) and checks the run-time directory for a bundle; NULL: the usual bundle.
// The caller frees.
char *runtime_dir_make(const char *bundle, struct err *e);

// Removes a datagram socket's name when nobody holds the socket; a live one is left alone.
void socket_remove_dead(const char *path);
