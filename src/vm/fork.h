// Forks: running copies of one VM's saved state. A fork is in no bundle: its directory is forks/ID
// of the run-time directory, and lasts as long as its Host and engine, which hold its lock. What a
// killed Host left is removed by the next command.
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "vm/store.h"

#define VM_FORK "fork.json" // {"base","group"} and {"cid"} where it has a vsock device

// The directory of all forks; -1 with errno where there never was one.
int forks_open(const struct store *s);
int forks_make(const struct store *s, struct err *e); // the same, made where it is missing
// Ids of those whose Host or engine lives, sorted; `base`: only that VM's, NULL: all. As
// store_list().
char **forks_list(const struct store *s, const char *base);
bool fork_exists(const struct store *s, const char *id);
// What is in VM_FORK; NULL with *e.
json_t *fork_facts(const struct vm *fork, struct err *e);

// Makes a fork's directory, whole, and holds its lock: vm_close() lets go of it. ERR_EXISTS with
// *of_fork where a fork has this id, without it where a VM has. `facts` is borrowed.
int fork_make(const struct store *s, const struct vm_config *c, const json_t *facts, struct vm *out,
              bool *of_fork, struct err *e);
// Removes a fork, whose lock the caller holds, with its run-time files.
void fork_remove(const struct vm *fork);
// Removes forks that no process holds.
void forks_sweep(const struct store *s);
