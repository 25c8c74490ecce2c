// The bare loop: what a relay of frames costs that does nothing else.
//
//     bench-relay FROM TO
//
// The arguments are descriptors of two datagram sockets, each connected to its client's and the
// client's to it. One direction, blocking, no event loop.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 32, FRAME_MAX = 16384 };

static unsigned char data[BATCH][FRAME_MAX];

int main(int argc, char **argv)
{
    struct mmsghdr m[BATCH] = {0};
    struct iovec io[BATCH];
    if (argc != 3)
        return 2;
    int from = atoi(argv[1]);
    int to = atoi(argv[2]);
    for (int i = 0; i < BATCH; i++)
        m[i].msg_hdr = (struct msghdr){.msg_iov = &io[i], .msg_iovlen = 1};
    for (;;) {
        for (int i = 0; i < BATCH; i++)
            io[i] = (struct iovec){data[i], FRAME_MAX};
        int n = recvmmsg(from, m, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < n; i++)
            io[i].iov_len = m[i].msg_len;
        for (int sent = 0, k; sent < n; sent += k)
            if ((k = sendmmsg(to, m + sent, (unsigned)(n - sent), 0)) < 0)
                return 0; // the client has gone
        if (n < 0 && errno != EINTR)
            return 0;
    }
}
