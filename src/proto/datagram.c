// Making them, and finding out who is there.
#include "proto/datagram.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/os.h"
#include "proto/unix.h"

// Bounds the frames in flight to a socket that is connected back to ours; the kernel's default
// limit (net.core.wmem_max) may give less.
enum { SNDBUF = 4 << 20 };

int datagram_socket(void)
{
    int size = SNDBUF;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0)
        return -1;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return fd;
}

// EPERM: yes, and from one client only.
bool datagram_answers(const char *path)
{
    struct sockaddr_un addr;
    struct err ignored;
    AUTO_CLOSE int scratch = datagram_socket();
    return scratch >= 0 && unix_address(path, &addr, &ignored) == 0 &&
           (connect(scratch, (struct sockaddr *)&addr, sizeof addr) == 0 || errno == EPERM);
}

bool socket_file_find(const char *path, struct socket_file *out)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return false;
    *out = (struct socket_file){.dev = st.st_dev, .ino = st.st_ino, .made = os_modified(&st)};
    return true;
}

bool socket_file_same(const struct socket_file *a, const struct socket_file *b)
{
    return a->ino == b->ino && a->dev == b->dev && a->made.tv_sec == b->made.tv_sec &&
           a->made.tv_nsec == b->made.tv_nsec;
}
