// What is left to the egress process once it has begun, should something in it go wrong.
#pragma once

#include "base/err.h"

// No new privileges, no core file; where the kernel can, system calls for sockets and memory only.
int confine(struct err *e);
