// Unix datagram sockets as the NIC uses them.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

// Binds at `path`, in place of what is there; *ino is the new file's.
int nic_socket_bind(int fd, const char *path, ino_t *ino, struct err *e);

// Also away from another server. -1 with errno.
int nic_socket_connect(int fd, const char *path);
void nic_socket_disconnect(int fd);

// The digest of the frame at the head of the receive queue; false: there is none.
bool nic_socket_head(int fd, uint64_t *frame);
