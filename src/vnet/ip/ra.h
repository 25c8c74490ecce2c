// Router advertisements (RFC 4861, 6.2; options of RFC 8106).
#pragma once

#include "vnet/link.h"
#include "vnet/timers.h"

// What vnet_network.ra_seconds may be: RFC 4861, 6.2.1, MaxRtrAdvInterval.
enum { RA_SECONDS_MIN = 4, RA_SECONDS_MAX = 1800 };

struct bytes;
struct network;
struct packet;

struct ra {
    struct timer timer;  // of the next one for all
    struct link answers; // to those who asked, and told their address
    uint64_t sent;       // when the last one for all was; only after the first
    uint8_t initial;     // how many of the first few are to come
    bool has_sent;
};

void ra_init(struct network *net);

// The first plug of a network has come, the last one is gone: there are no advertisements, and no
// timer runs, where nobody hears them.
void ra_start(struct vnet *v, struct network *net);
void ra_stop(struct vnet *v, struct network *net);

void ra_solicited(struct packet *p, struct bytes message);
