// The router's DHCP server (RFC 2131, RFC 2132).
#pragma once

#include "vnet/lab.h"

enum { DHCP_SERVER_PORT = 67, DHCP_CLIENT_PORT = 68 };

void dhcp_input(struct packet *p, struct bytes message);
