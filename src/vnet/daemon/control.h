// The verbs of the daemon's control socket.
#pragma once

#include <stdint.h>

#include "proto/server.h"

extern const struct verb vnet_verbs[];

// The plugs that were asked for over this connection end with it.
void control_client_ended(void *d, uint64_t client);
