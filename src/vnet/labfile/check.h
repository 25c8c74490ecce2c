// What must hold between the values of a lab.
#pragma once

#include <stdbool.h>

#include "vnet/labfile/labfile.h"

// While the tree is there: an error has the place of the value it is about.
int check_lab(const struct labfile *lab, struct err *e);

// Whether the address is a WAN address or lies in a LAN.
bool check_is_ours(const struct labfile *lab, const struct labfile_address *a);
