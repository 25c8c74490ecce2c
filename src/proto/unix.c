// Unix stream sockets.
#include "proto/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/os.h"

enum {
    CONNECT_SECONDS = 5,
    // Our servers, and QEMU, read at once; one that takes no byte for so long is not coming back.
    SEND_MS = 10000,
};

int unix_address(const char *path, struct sockaddr_un *out, struct err *e)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof out->sun_path)
        return err_set(e, ERR_USAGE, "socket path %s is longer than %zu bytes", path,
                       sizeof out->sun_path - 1);
    strcpy(out->sun_path, path);
    return 0;
}

static int stream_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

int unix_listen(const char *path, struct err *e)
{
    struct sockaddr_un addr;
    if (unix_address(path, &addr, e) < 0)
        return -1;
    AUTO_CLOSE int fd = stream_socket();
    if (fd < 0)
        return err_sys(e, "cannot make a socket");
    unlink(path);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        return err_sys(e, "cannot listen at %s", path);
    if (chmod(path, 0600) == 0 && listen(fd, 64) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        return TAKE_FD(fd);
    err_sys(e, "cannot listen at %s", path);
    unlink(path);
    return -1;
}

int unix_connect(const char *path, bool *absent, struct err *e)
{
    const struct timeval limit = {.tv_sec = CONNECT_SECONDS};
    const struct timeval none = {0};
    struct sockaddr_un addr;
    if (absent)
        *absent = false;
    if (unix_address(path, &addr, e) < 0)
        return -1;
    AUTO_CLOSE int fd = stream_socket();
    if (fd < 0)
        return err_sys(e, "cannot make a socket");
    // Linux waits for room among those that a server has not accepted yet, one that hangs for ever.
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
        if (absent)
            *absent = errno == ENOENT || errno == ECONNREFUSED;
        return err_sys(e, "cannot connect to %s", path);
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
    return TAKE_FD(fd);
}

int unix_connect_now(const char *path)
{
    struct sockaddr_un addr;
    struct err e;
    if (unix_address(path, &addr, &e) < 0) {
        errno = ENAMETOOLONG;
        return -1;
    }
    AUTO_CLOSE int fd = stream_socket();
    if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
        connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        return -1;
    return TAKE_FD(fd);
}

int unix_send(int sock, const char *data, size_t n, const int *fds, int count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(UNIX_FDS_MAX * sizeof(int))];
    } control = {0};
    const size_t size = (size_t)count * sizeof(int);
    for (size_t at = 0; at < n;) {
        struct iovec iov = {.iov_base = (char *)data + at, .iov_len = n - at};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        if (count > 0 && at == 0) {
            msg.msg_control = control.bytes;
            msg.msg_controllen = CMSG_SPACE(size);
            struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(size);
            memcpy(CMSG_DATA(c), fds, size);
        }
        ssize_t w = sendmsg(sock, &msg, MSG_NOSIGNAL);
        struct pollfd p = {.fd = sock, .events = POLLOUT};
        if (w < 0 && errno != EINTR && (errno != EAGAIN || poll(&p, 1, SEND_MS) <= 0))
            return -1;
        at += w > 0 ? (size_t)w : 0;
    }
    return 0;
}

bool unix_peer_allowed(int fd)
{
    uid_t uid;
    return os_peer_uid(fd, &uid) == 0 && (uid == geteuid() || uid == 0);
}

int unix_pair(int out[2], struct err *e)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, out) < 0)
        return err_sys(e, "cannot make a socket pair");
    fcntl(out[0], F_SETFD, FD_CLOEXEC);
    fcntl(out[1], F_SETFD, FD_CLOEXEC);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    return 0;
}
