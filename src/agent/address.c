// Addresses and routes, by rtnetlink(7).
#include "agent/address.h"

#include "agent/mac.h"
#include "agent/netlink.h"
#include "agent/nics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct prefix {
    uint8_t family, length;
    uint8_t bytes[16];
};

// An address of a NIC, or a route by it.
struct wish {
    int index;
    struct prefix to;
    struct prefix gateway; // family 0: none
};

struct message {
    struct nlmsghdr h;
    union {
        struct ifaddrmsg addr;
        struct rtmsg route;
    } is;
    char attributes[64];
};

static size_t size_of(const struct prefix *p)
{
    return p->family == AF_INET ? 4 : 16;
}

static int parse_address(const char *text, struct prefix *out)
{
    out->family = strchr(text, ':') ? AF_INET6 : AF_INET;
    return inet_pton(out->family, text, out->bytes) == 1 ? 0 : -1;
}

static int parse_prefix(char *text, struct prefix *out)
{
    char *slash = strchr(text, '/');
    char *end;
    unsigned long length;

    if (!slash)
        return -1;
    *slash++ = '\0';
    length = strtoul(slash, &end, 10);
    if (*end || end == slash || parse_address(text, out) != 0 || length > 8 * size_of(out))
        return -1;
    out->length = (uint8_t)length;
    return 0;
}

static int find_nic(const char *mac_text, int *index, char why[static WHY_MAX])
{
    struct nics nics;
    const struct nic *nic;
    uint8_t mac[6];

    if (mac_from_text(mac_text, mac) != 0)
        return why_not(why, "not a MAC address");
    if (nics_read(&nics) != 0)
        return why_not(why, "cannot list network interfaces: %s", strerror(errno));
    nic = nics_by_mac(&nics, mac);
    if (!nic)
        return why_not(why, "no network interface has the MAC %s", mac_text);
    *index = nic->index;
    return 0;
}

static int parse(const char *value, struct wish *out, char why[static WHY_MAX])
{
    char mac[MAC_TEXT_SIZE], to[64], gateway[64];
    int n = sscanf(value, "%17s %63s %63s", mac, to, gateway);

    memset(out, 0, sizeof *out);
    if (n < 2 || parse_prefix(to, &out->to) != 0)
        return why_not(why, "not an address with its prefix length");
    if (n == 3 &&
        (parse_address(gateway, &out->gateway) != 0 || out->gateway.family != out->to.family))
        return why_not(why, "not a gateway's address");
    return find_nic(mac, &out->index, why);
}

static int bring_up(int index)
{
    struct {
        struct nlmsghdr h;
        struct ifinfomsg i;
    } m = {.h = {.nlmsg_len = sizeof m, .nlmsg_type = RTM_NEWLINK},
           .i = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP}};

    return netlink_request(&m.h);
}

// --- addresses ---

static struct message address_message(int type, int index, const struct prefix *p)
{
    struct message m = {
        .h = {.nlmsg_len = NLMSG_LENGTH(sizeof m.is.addr), .nlmsg_type = (uint16_t)type},
        .is.addr = {.ifa_family = p->family,
                    .ifa_prefixlen = p->length,
                    .ifa_index = (unsigned)index},
    };

    netlink_put(&m.h, sizeof m, IFA_LOCAL, p->bytes, size_of(p));
    netlink_put(&m.h, sizeof m, IFA_ADDRESS, p->bytes, size_of(p));
    return m;
}

static bool is_same(const struct prefix *a, const struct prefix *b)
{
    return a->family == b->family && a->length == b->length &&
           !memcmp(a->bytes, b->bytes, size_of(a));
}

struct cleaning {
    const struct wire_frame *request;
    const struct wish *wish;
};

static bool is_wanted(const struct cleaning *c, const struct prefix *p)
{
    char value[128], to[64];
    struct prefix wanted = {0};
    size_t pos = 0;

    for (long n; (n = wire_value_next(c->request, &pos, "address", value, sizeof value)) != -1;)
        if (sscanf(value, "%*s %63s", to) == 1 && parse_prefix(to, &wanted) == 0 &&
            is_same(&wanted, p))
            return true;
    return false;
}

// Link-local ones stay, and of IPv6 those that routers brought.
static bool is_given(const struct nlmsghdr *h, const struct ifaddrmsg *i)
{
    const struct rtattr *a = netlink_attr(h, sizeof *i, IFA_FLAGS, 4);
    uint32_t flags = i->ifa_flags;

    if (a)
        memcpy(&flags, RTA_DATA(a), sizeof flags);
    return i->ifa_scope < RT_SCOPE_LINK && (i->ifa_family == AF_INET || flags & IFA_F_PERMANENT);
}

static void delete_other(const struct nlmsghdr *h, void *arg)
{
    const struct cleaning *c = arg;
    const struct ifaddrmsg *i = NLMSG_DATA(h);
    struct prefix p = {.family = i->ifa_family, .length = i->ifa_prefixlen};
    const struct rtattr *a = netlink_attr(h, sizeof *i, IFA_LOCAL, size_of(&p));
    struct message m;

    if (!a)
        a = netlink_attr(h, sizeof *i, IFA_ADDRESS, size_of(&p));
    if (h->nlmsg_type != RTM_NEWADDR || !a || (int)i->ifa_index != c->wish->index ||
        p.family != c->wish->to.family || !is_given(h, i))
        return;
    memcpy(p.bytes, RTA_DATA(a), size_of(&p));
    if (is_wanted(c, &p))
        return;
    m = address_message(RTM_DELADDR, c->wish->index, &p);
    netlink_request(&m.h); // it may have gone with the one before it
}

int address_set(const struct wire_frame *f, const char *value, char why[static WHY_MAX])
{
    struct wish wish;
    struct cleaning cleaning = {.request = f, .wish = &wish};
    struct message m;

    if (parse(value, &wish, why) != 0)
        return -1;
    // Before the new one is there: with the first address of a subnet the kernel deletes the rest.
    if (bring_up(wish.index) != 0 || netlink_dump(RTM_GETADDR, delete_other, &cleaning) != 0)
        return why_not(why, "%s", strerror(errno));
    m = address_message(RTM_NEWADDR, wish.index, &wish.to);
    m.h.nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
    return netlink_request(&m.h) == 0 ? 0 : why_not(why, "%s", strerror(errno));
}

// --- routes ---

// Bits after the prefix are no part of a destination.
static void clear_host_bits(struct prefix *p)
{
    for (size_t bit = p->length; bit < 8 * size_of(p); bit++)
        p->bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

int route_set(const char *value, char why[static WHY_MAX])
{
    struct wish w;
    struct message m = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof m.is.route),
                              .nlmsg_type = RTM_NEWROUTE,
                              .nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE}};

    if (parse(value, &w, why) != 0)
        return -1;
    clear_host_bits(&w.to);
    m.is.route = (struct rtmsg){
        .rtm_family = w.to.family,
        .rtm_dst_len = w.to.length,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_scope = w.gateway.family ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
        .rtm_type = RTN_UNICAST,
    };
    if (w.to.length > 0)
        netlink_put(&m.h, sizeof m, RTA_DST, w.to.bytes, size_of(&w.to));
    if (w.gateway.family)
        netlink_put(&m.h, sizeof m, RTA_GATEWAY, w.gateway.bytes, size_of(&w.gateway));
    netlink_put(&m.h, sizeof m, RTA_OIF, &w.index, sizeof w.index);
    if (bring_up(w.index) != 0 || netlink_request(&m.h) != 0)
        return why_not(why, "%s", strerror(errno));
    return 0;
}
