// Unix datagram sockets, and the files that sockets are bound to.
#pragma once

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

// Non-blocking, close-on-exec, with a big send buffer. -1 with errno.
int datagram_socket(void);

// Whether somebody receives at `path`.
bool datagram_answers(const char *path);

// Which file a path leads to. File systems use inode numbers again; the time tells.
struct socket_file {
    dev_t dev;
    ino_t ino;
    struct timespec made;
};
bool socket_file_find(const char *path, struct socket_file *out); // false: nothing is there
bool socket_file_same(const struct socket_file *a, const struct socket_file *b);
