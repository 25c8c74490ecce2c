// ICMP (RFC 792), at the router.
#pragma once

#include "vnet/lab.h"

void icmp_input(struct packet *p, struct bytes message);
