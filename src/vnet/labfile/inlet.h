// Ports of the host that lead to guests (`from-host`), as a lab file has them.
#pragma once

#include "vnet/labfile/labfile.h"
#include "vnet/labfile/schema.h"

int complete_inlet(struct reader *r, const struct tree *from, void *element, unsigned ordinal);
