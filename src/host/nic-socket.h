// Unix datagram sockets as the NIC uses them, and the files they are bound to.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "base/err.h"

// Non-blocking, close-on-exec, with a big send buffer. -1 with errno.
int nic_socket_new(void);

// Binds at `path`, in place of what is there; *ino is the new file's.
int nic_socket_bind(int fd, const char *path, ino_t *ino, struct err *e);

// Also away from another server. -1 with errno.
int nic_socket_connect(int fd, const char *path);
void nic_socket_disconnect(int fd);

// Whether somebody receives at `path`.
bool nic_socket_alive(const char *path);

// The digest of the frame at the head of the receive queue; false: there is none.
bool nic_socket_head(int fd, uint64_t *frame);

// Which file a path leads to. File systems use inode numbers again; the time tells.
struct nic_file {
    dev_t dev;
    ino_t ino;
    struct timespec made;
};
bool nic_file_find(const char *path, struct nic_file *out); // false: nothing is there
bool nic_file_same(const struct nic_file *a, const struct nic_file *b);
