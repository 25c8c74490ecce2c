// Ports of the internet that lead to the host (`forward`), as a lab file has them.
#pragma once

#include "vnet/labfile/labfile.h"
#include "vnet/labfile/schema.h"

bool port_parse(const char *text, struct labfile_port *out);

int complete_forward(struct reader *r, const struct tree *from, void *element, unsigned ordinal);
