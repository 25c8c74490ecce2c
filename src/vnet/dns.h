// The router's DNS server.
#pragma once

#include "vnet/lab.h"

void dns_input(struct packet *p, struct bytes message);
