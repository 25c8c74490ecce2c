// A lab of three networks, one of them behind a NAT, and a host of the internet.
#pragma once

#include <stdlib.h>

#include "vnet/vnet.h"

enum { LAB_NETWORKS = 3, LAB_PLUGS = 4 };

static inline void lab_fill(struct vnet *v)
{
    const struct vnet_network networks[] = {
        {.name = "home",
         .router = 0xc0a80001,
         .prefix = 24,
         .router6 = {{0x20, 0, 0, 0x52, [15] = 1}},
         .prefix6 = 64,
         .mtu = 1500,
         .lease_seconds = 3600,
         .domain = "lab.test"},
        {.name = "tiny", .router = 0x0a020001, .prefix = 29, .mtu = 576, .lease_seconds = 1},
        {.name = "nat",
         .router = 0xc0a80501,
         .prefix = 24,
         .wan = 0x02010101,
         .nat = VNET_NAT_EASY,
         .router6 = {{0x20, 0, 0, 0x53, [15] = 1}},
         .prefix6 = 64,
         .mtu = 1280,
         .lease_seconds = 60},
    };
    static const unsigned network_of[LAB_PLUGS] = {0, 0, 1, 2};
    const struct ip6 host = {{0x20, 0x52, [15] = 1}};
    struct err e;
    for (int i = 0; i < LAB_NETWORKS; i++)
        if (vnet_add_network(v, &networks[i], &e) != i)
            abort();
    for (int i = 0; i < LAB_PLUGS; i++)
        if (vnet_add_plug(v, &(struct vnet_plug){"plug", network_of[i]}, &e) != i)
            abort();
    if (vnet_add_host(v, 0x05000001, &host, &e) < 0)
        abort();
}
