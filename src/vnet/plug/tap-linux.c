// /dev/net/tun, and the few ioctls that configure what it makes.
#include "vnet/plug/tap.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"

static_assert(INTERFACE_NAME_MAX == IFNAMSIZ - 1, "the kernel's length");

static const char device[] = "/dev/net/tun";

static int cannot(struct err *e, const char *what)
{
    err_sys(e, "%s", what);
    e->code = ERR_HOST_CANNOT;
    return -1;
}

static int open_device(struct err *e)
{
    int fd = open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        return fd;
    bool missing = errno == ENOENT || errno == ENODEV || errno == ENXIO;
    return cannot(e, missing ? "no TAP interfaces here (is the kernel's module tun loaded?): "
                               "cannot open /dev/net/tun"
                             : "cannot open /dev/net/tun");
}

// IFF_TUN_EXCL: one that exists is never taken over, so it is always gone with us.
static int make(int fd, const char *name, struct ifreq *out, struct err *e)
{
    *out = (struct ifreq){.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL)};
    snprintf(out->ifr_name, sizeof out->ifr_name, "%s", name ? name : "tap%d");
    if (ioctl(fd, TUNSETIFF, out) == 0)
        return 0;
    if (errno == EBUSY)
        return err_set(e, ERR_EXISTS, "there is an interface '%s' already", out->ifr_name);
    if (errno == EPERM)
        return cannot(e, "making a TAP interface needs CAP_NET_ADMIN over the network namespace "
                         "(root has it, and so has who is in 'unshare -rn')");
    return err_sys(e, "cannot make the TAP interface '%s'", out->ifr_name);
}

static int open_news(struct err *e)
{
    struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    AUTO_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        return err_sys(e, "cannot watch the namespace's interfaces");
    return TAKE_FD(fd);
}

int tap_open(const char *name, const struct mac *mac, struct tap *out, struct err *e)
{
    struct ifreq r;
    AUTO_CLOSE int fd = open_device(e);
    if (fd < 0 || make(fd, name, &r, e) < 0)
        return -1;
    if (ioctl(fd, TUNSETOFFLOAD, 0) < 0)
        return err_sys(e, "cannot turn off the offloads of '%s'", r.ifr_name);
    AUTO_CLOSE int news = open_news(e);
    if (news < 0)
        return -1;
    struct ifreq hw = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};
    memcpy(hw.ifr_hwaddr.sa_data, mac->octet, sizeof mac->octet);
    if (ioctl(fd, SIOCSIFHWADDR, &hw) < 0)
        return err_sys(e, "cannot set the MAC address of '%s'", r.ifr_name);
    *out = (struct tap){.fd = TAKE_FD(fd), .news = TAKE_FD(news)};
    memcpy(out->name, r.ifr_name, sizeof out->name);
    return 0;
}

void tap_close(struct tap *t)
{
    close(t->fd);
    close(t->news);
}

// Interfaces are configured through any socket of their namespace.
int tap_up(const struct tap *t, unsigned mtu, struct err *e)
{
    struct ifreq r = {0};
    memcpy(r.ifr_name, t->name, sizeof r.ifr_name);
    r.ifr_mtu = (int)mtu;
    if (mtu && ioctl(t->news, SIOCSIFMTU, &r) < 0)
        return err_sys(e, "cannot set the MTU of '%s' to %u", t->name, mtu);
    if (ioctl(t->news, SIOCGIFFLAGS, &r) == 0) {
        r.ifr_flags = (short)(r.ifr_flags | IFF_UP);
        if (ioctl(t->news, SIOCSIFFLAGS, &r) == 0)
            return 0;
    }
    return err_sys(e, "cannot bring '%s' up", t->name);
}

void tap_drain(const struct tap *t)
{
    char frame[1 << 16];
    while (read(t->fd, frame, sizeof frame) > 0)
        ;
}

bool tap_gone(const struct tap *t)
{
    char message[1 << 15];
    struct ifreq r;
    while (recv(t->news, message, sizeof message, 0) > 0 || errno == ENOBUFS)
        ;
    return ioctl(t->fd, TUNGETIFF, &r) < 0;
}
