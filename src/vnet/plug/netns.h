// Network namespaces by name, path or pid. Linux only: elsewhere ERR_HOST_CANNOT.
#pragma once

#include "base/err.h"

// This process moves into the network namespace `which`: a path where there is a '/' in it, else a
// name that 'ip netns' knows, else a pid. Where the caller may not enter it as it is, it enters the
// user namespace that owns it first; who made that one always may.
int netns_enter(const char *which, struct err *e);
