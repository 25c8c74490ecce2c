// What a DHCP message looks like: reading a client's, writing the server's.
#pragma once

#include "vnet/lab.h"

// Values of option 53 (RFC 2132, 9.6).
enum dhcp_type {
    DHCP_DISCOVER = 1,
    DHCP_OFFER,
    DHCP_REQUEST,
    DHCP_DECLINE,
    DHCP_ACK,
    DHCP_NAK,
    DHCP_RELEASE,
    DHCP_INFORM,
};

// What a client or its relay said. An option that was not there is 0, or of no length.
struct dhcp_query {
    uint8_t type;
    bool broadcast;      // it cannot receive unicast yet
    struct bytes header; // the 236 bytes before the options
    uint32_t client_address, relay;
    uint32_t requested, server; // options 50, 54
    struct bytes wanted;        // 55, parameter request list
    struct bytes identifier;    // 61
    struct bytes relay_info;    // 82
    uint16_t size_limit;        // of the answer, with its IPv4 and UDP headers
    uint8_t default_identifier[7];
    struct client client;
};

// False for anything that is not a BOOTP request over Ethernet with a DHCP type. The query points
// into the message and into itself.
bool dhcp_read(struct bytes message, struct dhcp_query *q);

// The largest message that dhcp_write() makes for this query.
size_t dhcp_room(const struct dhcp_query *q, const struct network *net);
struct dhcp_reply {
    enum dhcp_type type;
    uint32_t address;    // the client's; 0 in a NAK and for INFORM
    uint32_t lease;      // seconds; 0: says nothing of a lease
    const char *message; // of a NAK: why
};
// An answer to a query.
void dhcp_write(struct frame *f, const struct dhcp_query *q, const struct network *net,
                const struct dhcp_reply *r);
