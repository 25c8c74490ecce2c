// What the guest knows of itself and of its name servers: files of /etc.
#pragma once

#include "agent/why.h"

// Each 0, or -1 with the reason.
//
// The running kernel's, alone: what DHCP clients give as theirs.
int etc_set_nodename(const char *name, char why[static WHY_MAX]);
// Now, and in /etc/hostname, where there is one, for the next boot.
int etc_set_hostname(const char *name, char why[static WHY_MAX]);
// 32 hexadecimal digits: /etc/machine-id, and D-Bus's own file where it has one (machine-id(5)).
int etc_set_machine_id(const char *id, char why[static WHY_MAX]);
// Addresses, or domains, with blanks between them, in place of those that /etc/resolv.conf has.
int etc_set_dns(const char *servers, char why[static WHY_MAX]);
int etc_set_search(const char *domains, char why[static WHY_MAX]);
