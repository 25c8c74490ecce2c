// What the control socket tells of the daemon (docs/interfaces.md).
#pragma once

#include <jansson.h>

#include "vnet/vnet.h"

struct daemon;

json_t *status_document(const struct daemon *d);
json_t *links_document(const struct daemon *d);
json_t *leases_document(const struct daemon *d);
json_t *counters_document(const struct daemon *d);
json_t *lease_document(const struct daemon *d, unsigned network, const struct vnet_lease *l);
