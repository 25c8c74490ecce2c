// What the guest's network interfaces are, read from the kernel in one go each time.
#include "agent/nics.h"

#include "agent/mac.h"
#include "agent/netlink.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

// From linux/if.h, which cannot be had beside net/if.h.
#define FLAG_LOWER_UP 0x10000u

// A kind ("bridge", "veth", "vlan", …) is what drivers of real devices do not have.
static bool is_virtual(const struct nlmsghdr *h)
{
    const struct rtattr *info = netlink_attr(h, sizeof(struct ifinfomsg), IFLA_LINKINFO, 0);
    const struct rtattr *a;
    size_t left;

    if (!info)
        return false;
    left = RTA_PAYLOAD(info);
    for (a = RTA_DATA(info); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == IFLA_INFO_KIND)
            return true;
    return false;
}

static void add_link(const struct nlmsghdr *h, void *arg)
{
    struct nics *nics = arg;
    const struct ifinfomsg *i = NLMSG_DATA(h);
    const struct rtattr *name = netlink_attr(h, sizeof *i, IFLA_IFNAME, 1);
    const struct rtattr *mac = netlink_attr(h, sizeof *i, IFLA_ADDRESS, 6);
    const struct rtattr *changes = netlink_attr(h, sizeof *i, IFLA_CARRIER_CHANGES, 4);
    struct nic *nic = &nics->list[nics->count];

    if (h->nlmsg_type != RTM_NEWLINK || !name || !mac || i->ifi_type != ARPHRD_ETHER)
        return;
    if (nics->count == NICS_MAX || is_virtual(h))
        return;
    nic->index = i->ifi_index;
    snprintf(nic->name, sizeof nic->name, "%.*s", (int)RTA_PAYLOAD(name),
             (const char *)RTA_DATA(name));
    memcpy(nic->mac, RTA_DATA(mac), sizeof nic->mac);
    nic->up = (i->ifi_flags & (IFF_UP | FLAG_LOWER_UP)) == (IFF_UP | FLAG_LOWER_UP);
    if (changes)
        memcpy(&nic->carrier_changes, RTA_DATA(changes), sizeof nic->carrier_changes);
    nics->count++;
}

// An IPv6 address that may turn out to be a duplicate is none yet; an event tells when.
static bool is_usable(const struct nlmsghdr *h, const struct ifaddrmsg *i)
{
    const struct rtattr *a = netlink_attr(h, sizeof *i, IFA_FLAGS, 4);
    uint32_t flags = i->ifa_flags;

    if (a)
        memcpy(&flags, RTA_DATA(a), sizeof flags);
    return !(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) || (flags & IFA_F_OPTIMISTIC);
}

static void add_addr(const struct nlmsghdr *h, void *arg)
{
    struct nics *nics = arg;
    const struct ifaddrmsg *i = NLMSG_DATA(h);
    size_t size = i->ifa_family == AF_INET ? 4 : 16;
    // IFA_LOCAL is the own end of a point-to-point address, where there is one.
    const struct rtattr *a = netlink_attr(h, sizeof *i, IFA_LOCAL, size);
    struct nic *nic;

    if (!a)
        a = netlink_attr(h, sizeof *i, IFA_ADDRESS, size);
    if (h->nlmsg_type != RTM_NEWADDR || !a || !is_usable(h, i))
        return;
    if (i->ifa_family != AF_INET && i->ifa_family != AF_INET6)
        return;
    nic = (struct nic *)nics_by_index(nics, (int)i->ifa_index);
    if (!nic || nic->addr_count == NIC_ADDRS_MAX)
        return;
    nic->addrs[nic->addr_count].family = i->ifa_family;
    nic->addrs[nic->addr_count].prefix_length = i->ifa_prefixlen;
    nic->addrs[nic->addr_count].lent = !(i->ifa_flags & IFA_F_PERMANENT);
    memcpy(nic->addrs[nic->addr_count].bytes, RTA_DATA(a), size);
    nic->addr_count++;
}

int nics_read(struct nics *out)
{
    memset(out, 0, sizeof *out);
    if (netlink_dump(RTM_GETLINK, add_link, out) != 0)
        return -1;
    return netlink_dump(RTM_GETADDR, add_addr, out);
}

const struct nic *nics_by_index(const struct nics *nics, int index)
{
    for (unsigned i = 0; i < nics->count; i++)
        if (nics->list[i].index == index)
            return &nics->list[i];
    return NULL;
}

const struct nic *nics_by_mac(const struct nics *nics, const uint8_t mac[6])
{
    for (unsigned i = 0; i < nics->count; i++)
        if (!memcmp(nics->list[i].mac, mac, 6))
            return &nics->list[i];
    return NULL;
}

void nic_format(const struct nic *nic, char out[static NIC_TEXT_MAX])
{
    char mac[MAC_TEXT_SIZE], addr[INET6_ADDRSTRLEN];
    int n = snprintf(out, NIC_TEXT_MAX, "%s %s %s ", nic->name, mac_to_text(nic->mac, mac),
                     nic->up ? "up" : "down");

    for (unsigned i = 0; i < nic->addr_count; i++) {
        const struct nic_addr *a = &nic->addrs[i];

        inet_ntop(a->family, a->bytes, addr, sizeof addr);
        n += snprintf(out + n, NIC_TEXT_MAX - (size_t)n, "%s%s/%u", i ? "," : "", addr,
                      a->prefix_length);
    }
    if (!nic->addr_count)
        snprintf(out + n, NIC_TEXT_MAX - (size_t)n, "-");
}
