// AF_UNIX datagram sockets: making, binding, connecting, and finding out who is there.
#include "host/nic-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/os.h"
#include "proto/unix.h"

// Bounds the frames in flight to a server that connected back to us; the kernel's default limit
// (net.core.wmem_max) may give less.
enum { SNDBUF = 4 << 20 };

int nic_socket_new(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0)
        return -1;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    int size = SNDBUF;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return fd;
}

// A socket keeps the name it was bound to, and servers answer to that: so no binding beside and
// renaming over; whoever sends in between finds nobody for a moment.
int nic_socket_bind(int fd, const char *path, ino_t *ino, struct err *e)
{
    struct sockaddr_un addr;
    struct stat st;
    if (unix_address(path, &addr, e) < 0)
        return -1;
    unlink(path);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || chmod(path, 0600) < 0 ||
        stat(path, &st) < 0)
        return err_sys(e, "cannot make the NIC's socket %s", path);
    *ino = st.st_ino;
    return 0;
}

int nic_socket_connect(int fd, const char *path)
{
    struct sockaddr_un addr;
    struct err e;
    if (unix_address(path, &addr, &e) < 0) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return connect(fd, (struct sockaddr *)&addr, sizeof addr);
}

void nic_socket_disconnect(int fd)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    if (connect(fd, &none, sizeof none) < 0)
        log_line("nic: cannot disconnect: %s", strerror(errno));
}

// EPERM: yes, and from one client only.
bool nic_socket_alive(const char *path)
{
    AUTO_CLOSE int scratch = nic_socket_new();
    return scratch >= 0 && (nic_socket_connect(scratch, path) == 0 || errno == EPERM);
}

bool nic_socket_head(int fd, uint64_t *frame)
{
    char head[128];
    ssize_t got =
        os_datagram_pending(fd) == 0 ? -1 : recv(fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0)
        return false;
    *frame = hash_bytes(head, (size_t)got);
    return true;
}

bool nic_file_find(const char *path, struct nic_file *out)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return false;
    *out = (struct nic_file){.dev = st.st_dev, .ino = st.st_ino, .made = os_modified(&st)};
    return true;
}

bool nic_file_same(const struct nic_file *a, const struct nic_file *b)
{
    return a->ino == b->ino && a->dev == b->dev && a->made.tv_sec == b->made.tv_sec &&
           a->made.tv_nsec == b->made.tv_nsec;
}
