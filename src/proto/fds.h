// Descriptors that arrive over a unix socket beside the bytes (SCM_RIGHTS); unix_send() sends them.
#pragma once

#include <stddef.h>
#include <sys/types.h>

// Descriptors that arrived and wait for who takes them. {0} is none.
struct fds {
    int fd[8]; // the oldest first
    int count;
};

// recv(2); descriptors that come with the bytes are added to `fds`, close-on-exec. What is too many
// is closed.
ssize_t fds_receive(int sock, void *data, size_t n, struct fds *fds);

// The oldest, now the caller's; -1 where none waits.
int fds_take(struct fds *fds);
void fds_close(struct fds *fds);
