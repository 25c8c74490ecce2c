// TCP (RFC 9293), of which nobody here speaks more than "no".
#pragma once

#include "vnet/lab.h"

void tcp_input(struct packet *p, struct bytes segment);
