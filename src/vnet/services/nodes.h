// The hosts of a network by name: its router, its nodes, its DHCP clients.
#pragma once

#include "vnet/lab.h"
#include "vnet/services/name.h"

// The router's names, when its network has been made.
int nodes_add_router(struct vnet *v, unsigned network, struct err *e);

// The node or live DHCP client of this name, as a router of `network` sees it: its own hosts alone
// and with the domain, those of other networks with theirs, unless they are behind a NAT. NULL:
// none.
const struct lease *nodes_by_name(const struct vnet *v, unsigned network, const struct name *name);

// The name of the node or live DHCP client at an address, likewise; false: none.
bool nodes_by_address(const struct vnet *v, unsigned network, uint32_t address, struct name *out);

// Blanks the name a DHCP client gives itself where it is no RFC 1123 label or another host's.
void nodes_check_host(const struct vnet *v, const struct network *net, struct client *client);
