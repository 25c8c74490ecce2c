// Unix sockets by path, with errors that name it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include "base/err.h"

// ERR_USAGE where the path does not fit.
int unix_address(const char *path, struct sockaddr_un *out, struct err *e);

// A listening stream socket, 0600, non-blocking, close-on-exec; a leftover at `path` is replaced.
int unix_listen(const char *path, struct err *e);

// A blocking stream connection, close-on-exec. *absent (may be NULL) is true when nobody listens.
int unix_connect(const char *path, bool *absent, struct err *e);

// The same without waiting, non-blocking. -1 with errno; EAGAIN: too many wait for the server.
int unix_connect_now(const char *path);

// Sends all of it, and with its first byte the first `count` of `fds` (SCM_RIGHTS; at most
// UNIX_FDS_MAX, they stay the caller's). -1 where the other end is gone, or, for a non-blocking
// socket, takes nothing for 10 s. Raises no SIGPIPE.
enum { UNIX_FDS_MAX = 4 };
int unix_send(int sock, const char *data, size_t n, const int *fds, int count);

// Whether the other end is of the same user, or root's.
bool unix_peer_allowed(int fd);

// A pair of connected stream sockets, both close-on-exec, the first non-blocking.
int unix_pair(int out[2], struct err *e);
