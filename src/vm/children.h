// VMs whose disk is linked to another VM's: found by what their disks say, so that copies, moves
// and removals of directories need nobody's knowledge.
#pragma once

#include "vm/store.h"

// The VMs of the bundle that are linked to `id`, sorted; free with store_list_free().
char **children_of(const struct store *s, const char *id);

// ERR_BUSY with their names where there are any: what becomes of the disk of `id` becomes of
// theirs.
int children_refuse(const struct store *s, const char *id, struct err *e);
