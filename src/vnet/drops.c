// The reasons for which frames are dropped: their names and what they mean.
#include <assert.h>

#include "vnet/vnet.h"

static const struct {
    const char *name, *why;
} drops[] = {
    [VNET_DROP_SHORT_FRAME] = {"short-frame", "it is shorter than an Ethernet header"},
    [VNET_DROP_LONG_FRAME] = {"long-frame", "it is longer than any network carries"},
    [VNET_DROP_BAD_SOURCE] = {"bad-source", "its source MAC is a group's or zero"},
    [VNET_DROP_ETHERTYPE] = {"ethertype", "it is neither IPv4 nor IPv6 nor ARP"},
    [VNET_DROP_STOLEN_MAC] = {"stolen-mac", "its source MAC belongs to another plug or a router"},
    [VNET_DROP_TOO_MANY_MACS] = {"too-many-macs", "its plug has used up the MACs it may have"},
    [VNET_DROP_SAME_PLUG] = {"same-plug", "its destination is behind the plug it came from"},
    [VNET_DROP_NOBODY] = {"nobody", "its destination is unknown and no other plug is there"},
    [VNET_DROP_NO_BUFFER] = {"no-buffer", "all buffers of its size are in use"},
    [VNET_DROP_QUEUE_FULL] = {"queue-full", "too many frames are on their way"},
    [VNET_DROP_LINK_DOWN] = {"link-down", "its link is down"},
    [VNET_DROP_BAD_ARP] = {"bad-arp", "its ARP packet is cut short or not of IPv4 over Ethernet"},
    [VNET_DROP_BAD_IPV4] = {"bad-ipv4", "its IPv4 header's version, lengths or checksum are wrong"},
    [VNET_DROP_MARTIAN] = {"martian", "nobody can have its source or destination address"},
    [VNET_DROP_LINK_BROADCAST] = {"link-broadcast", "it is a broadcast with one host's address"},
    [VNET_DROP_SOURCE_ROUTE] = {"source-route", "its sender chooses the way that it takes"},
    [VNET_DROP_FRAGMENT] = {"fragment",
                            "it is a part of a packet whose others are missing or do not fit"},
    [VNET_DROP_TTL] = {"ttl", "its time to live was used up at the router"},
    [VNET_DROP_NO_ROUTE] = {"no-route", "the router has no route to its destination"},
    [VNET_DROP_NO_NEIGHBOUR] = {"no-neighbour", "its destination does not answer the router"},
    [VNET_DROP_TOO_BIG] = {"too-big", "it does not fit the MTU and may not be fragmented"},
    [VNET_DROP_NO_PROTOCOL] = {"no-protocol", "the router does not speak its IP protocol"},
    [VNET_DROP_BAD_ICMP] = {"bad-icmp", "its ICMP message is cut short or its checksum is wrong"},
    [VNET_DROP_BAD_UDP] = {"bad-udp", "its UDP length or checksum is wrong"},
    [VNET_DROP_BAD_TCP] = {"bad-tcp", "its TCP header is cut short or its checksum is wrong"},
    [VNET_DROP_NO_PORT] = {"no-port", "nothing listens at its UDP or TCP port"},
    [VNET_DROP_BAD_DHCP] = {"bad-dhcp", "its DHCP message is malformed or makes no sense"},
    [VNET_DROP_NO_ADDRESS] = {"no-address", "the DHCP server has no address left for its client"},
    [VNET_DROP_BAD_IPV6] = {"bad-ipv6", "its IPv6 header's version or lengths are wrong"},
    [VNET_DROP_BAD_NDP] = {"bad-ndp", "its neighbour discovery message fails RFC 4861's checks"},
    [VNET_DROP_BAD_DNS] = {"bad-dns", "its DNS message is malformed or no query"},
    [VNET_DROP_DNS_FAULT] = {"dns-fault", "its network's DNS server is silent on purpose"},
    [VNET_DROP_NAT_FILTERED] = {"nat-filtered", "the NAT has no mapping that lets it in"},
    [VNET_DROP_NAT_FULL] = {"nat-full", "the NAT has no mapping left for it"},
    [VNET_DROP_NAT_PROTOCOL] = {"nat-protocol", "the NAT does not translate its protocol"},
};
static_assert(sizeof drops / sizeof *drops == VNET_DROP_COUNT, "a name for each drop reason");

const char *vnet_drop_name(enum vnet_drop drop)
{
    return drops[drop].name;
}

const char *vnet_drop_why(enum vnet_drop drop)
{
    return drops[drop].why;
}
