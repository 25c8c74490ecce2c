// The little of rtnetlink that the agent needs: a dump, an event socket, one request.
#include "agent/netlink.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

// The kernel never sends more per datagram to a reader that offers this much.
#define DATAGRAM_MAX 32768

static int netlink_open(unsigned groups, int flags)
{
    struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = groups};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);

    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
        return fd;
    close(fd);
    return -1;
}

int netlink_events_open(void)
{
    return netlink_open(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, SOCK_NONBLOCK);
}

void netlink_events_drain(int fd)
{
    static char buf[DATAGRAM_MAX];

    // ENOBUFS says that events were lost: as good an event as any.
    while (recv(fd, buf, sizeof buf, 0) > 0 || errno == ENOBUFS || errno == EINTR)
        ;
}

static int netlink_ask(const struct nlmsghdr *h)
{
    // The kernel answers at once; the limit only keeps a surprise from hanging the agent.
    struct timeval limit = {.tv_sec = 2};
    int fd = netlink_open(0, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (send(fd, h, h->nlmsg_len, 0) == (ssize_t)h->nlmsg_len)
        return fd;
    close(fd);
    return -1;
}

// The outcome that an NLMSG_ERROR carries: 0, or -1 with errno.
static int netlink_verdict(const struct nlmsghdr *h)
{
    const struct nlmsgerr *e = NLMSG_DATA(h);

    if (h->nlmsg_len < NLMSG_LENGTH(sizeof *e))
        errno = EPROTO;
    else if (!e->error)
        return 0;
    else
        errno = -e->error;
    return -1;
}

// Hands each message to fn until the end: 0 or -1.
static int netlink_collect(int fd, void (*fn)(const struct nlmsghdr *h, void *arg), void *arg)
{
    // Not static: fn may make requests of its own.
    char buf[DATAGRAM_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));

    for (;;) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type == NLMSG_DONE)
                return 0;
            if (h->nlmsg_type == NLMSG_ERROR)
                return netlink_verdict(h);
            if (fn)
                fn(h, arg);
        }
    }
}

static int netlink_talk(const struct nlmsghdr *h, void (*fn)(const struct nlmsghdr *, void *),
                        void *arg)
{
    int fd = netlink_ask(h);
    int rc, saved;

    if (fd < 0)
        return -1;
    rc = netlink_collect(fd, fn, arg);
    saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

int netlink_dump(int type, void (*fn)(const struct nlmsghdr *h, void *arg), void *arg)
{
    struct {
        struct nlmsghdr h;
        struct ifinfomsg any; // zero means all, whatever the type
    } ask = {
        .h = {.nlmsg_len = sizeof ask,
              .nlmsg_type = (uint16_t)type,
              .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
    };

    return netlink_talk(&ask.h, fn, arg);
}

int netlink_request(struct nlmsghdr *h)
{
    h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    return netlink_talk(h, NULL, NULL);
}

const struct rtattr *netlink_attr(const struct nlmsghdr *h, size_t header_size, int type,
                                  size_t min_size)
{
    const struct rtattr *a;
    size_t left;

    if (h->nlmsg_len < NLMSG_SPACE(header_size))
        return NULL;
    a = (const void *)((const char *)h + NLMSG_SPACE(header_size));
    left = h->nlmsg_len - NLMSG_SPACE(header_size);
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
        if ((a->rta_type & NLA_TYPE_MASK) == type)
            return RTA_PAYLOAD(a) >= min_size ? a : NULL;
    return NULL;
}

void netlink_put(struct nlmsghdr *h, size_t cap, int type, const void *data, size_t n)
{
    struct rtattr *a = (void *)((char *)h + NLMSG_ALIGN(h->nlmsg_len));

    if (NLMSG_ALIGN(h->nlmsg_len) + RTA_SPACE(n) > cap)
        return;
    *a = (struct rtattr){.rta_type = (uint16_t)type, .rta_len = (uint16_t)RTA_LENGTH(n)};
    memcpy(RTA_DATA(a), data, n);
    h->nlmsg_len = (uint32_t)(NLMSG_ALIGN(h->nlmsg_len) + RTA_SPACE(n));
}
