// Binding, connecting, and looking at what waits to be read.
#include "host/nic-socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/os.h"
#include "proto/unix.h"

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
