// The router's DNS server, by UDP.
#pragma once

#include "vnet/lab.h"

enum { DNS_PORT = 53 };

void dns_input(struct packet *p, struct bytes message);
