// TCP (RFC 9293), of which nobody here speaks more than "no".
#pragma once

#include "vnet/lab.h"

enum { TCP_HEADER = 20, TCP_FLAGS = 13 };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PUSH = 8, TCP_ACK = 16, TCP_URG = 32 };

void tcp_input(struct packet *p, struct bytes segment);
