// What the daemon and the egress process say to each other beside frames: these structs, over a
// socket pair that keeps their bounds. Frames have a stream of their own (proto/framing.h).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EGRESS_NETWORKS_MAX = 64, EGRESS_TEXT_MAX = 256, EGRESS_DATA_MAX = 4100 };
enum { EGRESS_PAGE_MAX = 64 << 10 };

enum egress_kind {
    // To the process. START comes once, after forwards and policy.
    EGRESS_START,    // mtu, bursts
    EGRESS_POLICY,   // open, networks that are the host's own
    EGRESS_RESOLVER, // a host's address and port; 0: none
    EGRESS_FORWARD,  // protocol, address and port of the lab's; a host's, or a path in `text`
    EGRESS_PAGE,     // the same of the lab's, a part of what HTTP answers, a path (services_add())
    EGRESS_DNS,      // the same but the part, the number of a network whose DNS server it is
    EGRESS_ANSWER,   // token, and a part of what is its answer
    // Ports of the host that lead to guests, after START.
    EGRESS_INLET,     // protocol, the host's address and port; what comes to the socket that comes
                      // with it, which listens, goes to this port of VNET_EGRESS_ROUTER
    EGRESS_INLET_END, // the same
    // From the process.
    EGRESS_READY,
    EGRESS_FAILED,  // why, in `text`
    EGRESS_QUERY,   // token, network, and what was asked
    EGRESS_REFUSED, // how many flows, in `token`, for want of descriptors
    EGRESS_KINDS
};

// Addresses and ports are in host byte order. There are no gaps: two that say the same are the
// same.
struct egress_message {
    uint8_t kind;
    uint8_t protocol; // 6: TCP, 17: UDP
    uint16_t mtu;
    uint16_t lab_port, host_port;
    uint64_t token;
    uint32_t open;   // 0 or 1
    uint32_t bursts; // 0 or 1: the lab's links take many frames at once
    uint32_t lab, host;
    uint32_t network_count;
    uint32_t number;      // of a network of the lab
    uint32_t size, at, n; // of all the data, of where this part begins, of this part
    struct {
        uint32_t address, mask;
    } networks[EGRESS_NETWORKS_MAX];
    char text[EGRESS_TEXT_MAX];
    uint8_t data[EGRESS_DATA_MAX];
};

// An empty one of a kind.
struct egress_message egress_message(enum egress_kind kind);

// How much of it is sent: not what its data leave empty.
size_t egress_size(const struct egress_message *m);

// What was received. False: nothing that makes sense.
bool egress_read(const uint8_t *data, size_t n, struct egress_message *out);
