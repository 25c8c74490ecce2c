// Unix sockets by path, with errors that name it.
#pragma once

#include <stdbool.h>
#include <sys/un.h>

#include "base/err.h"

// ERR_USAGE where the path does not fit.
int unix_address(const char *path, struct sockaddr_un *out, struct err *e);

// A listening stream socket, 0600, non-blocking, close-on-exec; a leftover at `path` is replaced.
int unix_listen(const char *path, struct err *e);

// A blocking stream connection, close-on-exec. *absent (may be NULL) is true when nobody listens.
int unix_connect(const char *path, bool *absent, struct err *e);

// Whether the other end is of the same user, or root's.
bool unix_peer_allowed(int fd);

// A pair of connected stream sockets, both close-on-exec, the first non-blocking.
int unix_pair(int out[2], struct err *e);
