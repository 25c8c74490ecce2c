// The receiving side of ancillary data.
#include "proto/fds.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// As many as Linux passes at once. Where there were less room a system may install what it cuts off
// all the same, and nobody would know the numbers.
enum { AT_ONCE = 253 };

static void keep(struct fds *fds, int fd)
{
    if (fds->count == sizeof fds->fd / sizeof *fds->fd) {
        close(fd);
        return;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC); // spawn() keeps it from children that are made before this line
    fds->fd[fds->count++] = fd;
}

ssize_t fds_receive(int sock, void *data, size_t n, struct fds *fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(AT_ONCE * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = data, .iov_len = n};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t got = recvmsg(sock, &m, 0);
    if (got < 0)
        return got;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
            int fd;
            memcpy(&fd, (const char *)c + at, sizeof fd);
            keep(fds, fd);
        }
    }
    return got;
}

int fds_take(struct fds *fds)
{
    if (fds->count == 0)
        return -1;
    int fd = fds->fd[0];
    memmove(fds->fd, fds->fd + 1, (size_t)--fds->count * sizeof fd);
    return fd;
}

void fds_close(struct fds *fds)
{
    while (fds->count > 0)
        close(fds->fd[--fds->count]);
}
