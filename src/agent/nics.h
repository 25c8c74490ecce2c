// What the guest's network interfaces are: names, MACs, links, addresses.
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NICS_MAX 32
#define NIC_ADDRS_MAX 24
// "eth0 52:cc:cc:cc:cc:01 down " and an address list, terminated.
#define NIC_TEXT_MAX (IFNAMSIZ + 24 + NIC_ADDRS_MAX * (INET6_ADDRSTRLEN + 5))

struct nic_addr {
    uint8_t family; // AF_INET or AF_INET6
    uint8_t prefix_length;
    bool lent; // it has a lifetime, as those of DHCP have
    uint8_t bytes[16];
};

struct nic {
    int index;
    char name[IFNAMSIZ];
    uint8_t mac[6];
    bool up;                  // it is up and the link has a carrier
    uint32_t carrier_changes; // since it exists: tells of flaps between two looks
    unsigned addr_count;
    struct nic_addr addrs[NIC_ADDRS_MAX];
};

// Padding is zero, too: two snapshots compare with memcmp.
struct nics {
    unsigned count;
    struct nic list[NICS_MAX];
};

// The Ethernet NICs that are hardware to the guest: no bridge, VLAN, veth, tun. 0 or -1.
int nics_read(struct nics *out);
// As above by kernel index or MAC, or NULL.
const struct nic *nics_by_index(const struct nics *nics, int index);
const struct nic *nics_by_mac(const struct nics *nics, const uint8_t mac[6]);

// "eth0 52:cc:cc:cc:cc:01 up 192.168.0.7/24,fe80::1/64"; "-" without an address.
void nic_format(const struct nic *nic, char out[static NIC_TEXT_MAX]);
