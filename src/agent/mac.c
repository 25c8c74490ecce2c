// MAC addresses: as text, and giving a NIC another one while it is in use.
//
// A guest that was just restored waits for this, and all code that it runs costs an emulator ten
// times as much the first time: hence ioctls where a NIC is known, and IPv6 later.
#include "agent/mac.h"

#include "agent/hex.h"
#include "agent/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int mac_from_text(const char *text, uint8_t out[6])
{
    if (strlen(text) != MAC_TEXT_SIZE - 1)
        return -1;
    for (int i = 0; i < 6; i++, text += 3) {
        int hi = hex_digit(text[0]), lo = hex_digit(text[1]);

        if (hi < 0 || lo < 0 || text[2] != (i < 5 ? ':' : '\0'))
            return -1;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return 0;
}

char *mac_to_text(const uint8_t mac[6], char out[static MAC_TEXT_SIZE])
{
    snprintf(out, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
             mac[4], mac[5]);
    return out;
}

static int set_flags(int fd, const struct nic *nic, short clear, short set)
{
    struct ifreq r = {0};

    memcpy(r.ifr_name, nic->name, sizeof r.ifr_name);
    if (ioctl(fd, SIOCGIFFLAGS, &r) != 0)
        return -1;
    r.ifr_flags = (short)((r.ifr_flags & ~clear) | set);
    return ioctl(fd, SIOCSIFFLAGS, &r);
}

static int set_mac(int fd, const struct nic *nic, const uint8_t to[6])
{
    struct ifreq r = {0};
    int rc, saved;

    memcpy(r.ifr_name, nic->name, sizeof r.ifr_name);
    r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(r.ifr_hwaddr.sa_data, to, 6);
    if (ioctl(fd, SIOCSIFHWADDR, &r) == 0)
        return 0;
    // virtio-net can do it while up. For a driver that cannot, routes are the price.
    if (errno != EBUSY || set_flags(fd, nic, IFF_UP, 0) != 0)
        return -1;
    rc = ioctl(fd, SIOCSIFHWADDR, &r);
    saved = errno;
    set_flags(fd, nic, 0, IFF_UP);
    errno = saved;
    return rc;
}

// The second half of an IPv6 address made from a MAC (RFC 4291, appendix A).
static void eui64(const uint8_t mac[6], uint8_t out[8])
{
    const uint8_t id[8] = {mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};

    memcpy(out, id, sizeof id);
}

struct stale {
    const struct nic *nic;
    uint8_t id[8];
};

static void delete_address(int index, int family, int prefix_length, const uint8_t *bytes)
{
    struct {
        struct nlmsghdr h;
        struct ifaddrmsg i;
        struct rtattr a;
        uint8_t addr[16];
    } ask = {.h = {.nlmsg_type = RTM_DELADDR}};
    const size_t size = family == AF_INET ? 4 : 16;

    ask.i = (struct ifaddrmsg){.ifa_family = (uint8_t)family,
                               .ifa_prefixlen = (uint8_t)prefix_length,
                               .ifa_index = (unsigned)index};
    ask.a = (struct rtattr){.rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = IFA_LOCAL};
    ask.h.nlmsg_len = (uint32_t)(offsetof(typeof(ask), addr) + size);
    memcpy(ask.addr, bytes, size);
    netlink_request(&ask.h);
}

// Looks at all addresses, not only nic's: one still being probed for duplicates counts.
static void delete_if_stale(const struct nlmsghdr *h, void *arg)
{
    const struct stale *stale = arg;
    const struct ifaddrmsg *i = NLMSG_DATA(h);
    const struct rtattr *a = netlink_attr(h, sizeof *i, IFA_ADDRESS, 16);

    if (h->nlmsg_type == RTM_NEWADDR && i->ifa_family == AF_INET6 && a &&
        (int)i->ifa_index == stale->nic->index &&
        memcmp((const uint8_t *)RTA_DATA(a) + 8, stale->id, 8) == 0)
        delete_address(stale->nic->index, AF_INET6, i->ifa_prefixlen, RTA_DATA(a));
}

// The kernel makes a link-local address when the interface comes up, and never again: copies of
// one VM would all keep the first one's. Setting the way addresses are made to "none" and back
// makes it think anew; its router solicitation follows by itself.
static void renew_ipv6(const struct nic *nic)
{
    struct stale stale = {.nic = nic};
    char path[64 + IFNAMSIZ], mode = '0';
    int fd;

    eui64(nic->mac, stale.id);
    netlink_dump(RTM_GETADDR, delete_if_stale, &stale);
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/addr_gen_mode", nic->name);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return; // no IPv6
    // Any other mode does not look at the MAC, and is somebody's wish.
    if (pread(fd, &mode, 1, 0) == 1 && mode == '0' && pwrite(fd, "1", 1, 0) == 1 &&
        pwrite(fd, "0", 1, 0) != 1)
        fprintf(stderr, "tailmac-agent: %s: no IPv6 link-local address: %m\n", nic->name);
    close(fd);
}

void mac_follow(struct nics *former)
{
    for (unsigned i = 0; i < former->count; i++)
        renew_ipv6(&former->list[i]);
    former->count = 0;
}

static bool still_has(int fd, const struct nic *nic, const uint8_t mac[6])
{
    struct ifreq r = {0};

    memcpy(r.ifr_name, nic->name, sizeof r.ifr_name);
    return ioctl(fd, SIOCGIFHWADDR, &r) == 0 && !memcmp(r.ifr_hwaddr.sa_data, mac, 6);
}

// Looks at all NICs only where the known ones are not so any more.
static struct nic *find(int fd, struct nics *known, const uint8_t mac[6])
{
    struct nic *nic = (struct nic *)nics_by_mac(known, mac);
    struct nics now;

    if (nic && still_has(fd, nic, mac))
        return nic;
    if (nics_read(&now) != 0 || !(nic = (struct nic *)nics_by_mac(&now, mac)))
        return NULL;
    *known = now;
    return (struct nic *)nics_by_mac(known, mac);
}

static bool is_there(const uint8_t mac[6])
{
    struct nics now;

    return nics_read(&now) == 0 && nics_by_mac(&now, mac);
}

// An IPv4 address of DHCP was lent to the old MAC: with the new one it would be a duplicate. IPv6
// is renewed later, but counts no more.
static bool goes_with_mac(const struct nic_addr *a, const uint8_t id[8])
{
    return a->family == AF_INET ? a->lent : memcmp(a->bytes + 8, id, 8) == 0;
}

static void drop_stale(struct nic *nic)
{
    unsigned kept = 0;
    uint8_t id[8];

    eui64(nic->mac, id);
    for (unsigned i = 0; i < nic->addr_count; i++) {
        const struct nic_addr *a = &nic->addrs[i];
        if (!goes_with_mac(a, id))
            nic->addrs[kept++] = *a;
        else if (a->family == AF_INET)
            delete_address(nic->index, AF_INET, a->prefix_length, a->bytes);
    }
    memset(&nic->addrs[kept], 0, (nic->addr_count - kept) * sizeof nic->addrs[0]);
    nic->addr_count = kept;
}

static int change(int fd, const uint8_t old[6], const uint8_t mac[6], struct nics *known,
                  struct nics *former, char why[static WHY_MAX])
{
    struct nic *nic = find(fd, known, old);

    if (!nic) // Host may have to ask twice when an answer got lost
        return is_there(mac) ? 0 : why_not(why, "no network interface has this MAC");
    if (former->count == NICS_MAX)
        return why_not(why, "too many at once");
    if (set_mac(fd, nic, mac) != 0)
        return why_not(why, "cannot change the MAC of %s: %s", nic->name, strerror(errno));
    former->list[former->count++] = *nic;
    drop_stale(nic);
    memcpy(nic->mac, mac, sizeof nic->mac);
    return 0;
}

int mac_set(struct kept *kept, const char *from, const char *to, struct nics *known,
            struct nics *former, char why[static WHY_MAX])
{
    static const uint8_t none[6];
    uint8_t old[6], mac[6];
    int fd;

    if (mac_from_text(from, old) != 0 || mac_from_text(to, mac) != 0)
        return why_not(why, "not a MAC address");
    if ((mac[0] & 1) || !memcmp(mac, none, sizeof mac))
        return why_not(why, "%s: not the address of one station", to);
    fd = kept_fd(kept, KEPT_INET);
    if (fd < 0)
        return why_not(why, "cannot make a socket: %s", strerror(errno));
    return change(fd, old, mac, known, former, why);
}
