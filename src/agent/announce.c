// The first frames of a NIC that was given another MAC, so that switches learn where it is before
// the guest has anything to say: an ARP probe for each IPv4 address (RFC 5227, 2.1.1), or for want
// of one a router solicitation (RFC 4861, 6.3.7), after which IPv6 addresses come.
//
// Probes, no announcements: an address may be the one of the VM that this is a copy of, and of all
// its other copies, until DHCP gives it another. Nobody's table is changed by a probe.
#include "agent/announce.h"

#include "agent/mac.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { FRAME_SIZE = 62, SENDER = 6, ARP_SENDER = 22, ARP_TARGET = 38 };

static const uint8_t probe[FRAME_SIZE] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 0x08, 0x06, // ARP to all
    0x00, 0x01, 0x08, 0x00, 6,    4,    0x00,        0x01, // a request: Ethernet, IPv4
};

static const uint8_t solicitation[FRAME_SIZE] = {
    0x33,        0x33, 0,        0,    0, 2, [12] = 0x86, 0xdd, // IPv6 to all routers
    0x60,        0,    0,        0,    0, 8, 58,          255,  // 8 bytes of ICMPv6, 255 hops
    [38] = 0xff, 0x02, [53] = 2,                                // from :: to ff02::2
    [54] = 133,  0,    0x7b,     0xb8,                          // its checksum is always this
};

static int send_frame(int fd, const struct nic *nic, const uint8_t frame[static FRAME_SIZE])
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = nic->index};

    return sendto(fd, frame, FRAME_SIZE, 0, (struct sockaddr *)&to, sizeof to) < 0 ? -1 : 0;
}

static int send_probe(int fd, const struct nic *nic, const uint8_t address[4])
{
    uint8_t frame[FRAME_SIZE];

    memcpy(frame, probe, sizeof frame);
    memcpy(frame + SENDER, nic->mac, 6);
    memcpy(frame + ARP_SENDER, nic->mac, 6);
    memcpy(frame + ARP_TARGET, address, 4);
    return send_frame(fd, nic, frame);
}

static int send_solicitation(int fd, const struct nic *nic)
{
    uint8_t frame[FRAME_SIZE];

    memcpy(frame, solicitation, sizeof frame);
    memcpy(frame + SENDER, nic->mac, 6);
    return send_frame(fd, nic, frame);
}

static int send_all(int fd, const struct nic *nic)
{
    bool any = false;

    for (unsigned i = 0; i < nic->addr_count; i++) {
        if (nic->addrs[i].family != AF_INET)
            continue;
        any = true;
        if (send_probe(fd, nic, nic->addrs[i].bytes) != 0)
            return -1;
    }
    return any ? 0 : send_solicitation(fd, nic);
}

int announce(struct kept *kept, const char *mac_text, const struct nics *known,
             char note[static WHY_MAX])
{
    const struct nic *nic;
    uint8_t mac[6];
    int fd;

    if (mac_from_text(mac_text, mac) != 0 || !(nic = nics_by_mac(known, mac)))
        return why_not(note, "no network interface has this MAC");
    fd = kept_fd(kept, KEPT_PACKET);
    if (fd < 0)
        return why_not(note, "cannot make a socket: %s", strerror(errno));
    return send_all(fd, nic) == 0 ? 0 : why_not(note, "%s: %s", nic->name, strerror(errno));
}
