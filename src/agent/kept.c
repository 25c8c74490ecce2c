// Opened at the first use.
#include "agent/kept.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_kind(enum kept_kind kind)
{
    switch (kind) {
    case KEPT_RANDOM:
        return open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    case KEPT_INET:
        return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    default:
        return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    }
}

int kept_fd(struct kept *k, enum kept_kind kind)
{
    if (k->fd[kind] <= 0)
        k->fd[kind] = open_kind(kind);
    return k->fd[kind];
}

void kept_close(struct kept *k)
{
    for (int i = 0; i < KEPT_KINDS; i++)
        if (k->fd[i] > 0)
            close(k->fd[i]);
    *k = (struct kept){0};
}
