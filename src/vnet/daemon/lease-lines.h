// Leases as text: what the lease file holds.
//
//     vnet-leases 1
//     home 192.168.0.17 52:54:00:12:34:56 1790000000 ff0102 laptop
//
// Network, address, MAC, the end in seconds since 1970, client identifier in hexadecimal, and the
// name that the client gave itself; "-" for an empty identifier or name.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "vnet/vnet.h"

#define LEASE_LINES_HEAD "vnet-leases 1\n"

enum { LEASE_NETWORK_MAX = 65 };
struct lease_line {
    char network[LEASE_NETWORK_MAX];
    int64_t ends;         // seconds since 1970
    struct vnet_lease is; // but for `until`
};

void lease_line_put(FILE *out, const struct lease_line *l);

// Reads one line, without its newline. -1 with ERR_USAGE.
int lease_line_parse(const char *line, struct lease_line *out, struct err *e);

// Calls `each` for every lease of a whole file, which ends with a NUL; the text is taken apart. -1
// with *e, which names the line, where it makes no sense.
int lease_lines_parse(char *text, void (*each)(void *arg, const struct lease_line *l), void *arg,
                      struct err *e);
