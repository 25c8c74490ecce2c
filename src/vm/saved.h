// A saved state in a VM's directory: SaveFile.vzvmsave/ with manifest.json and the engine's files.
//
// It is made under a hidden name and renamed into place, manifest last, so it is there whole or not
// at all. Before the restored guest's first instruction it is *retired*, durably: from then on disk
// and memory no longer belong together, and restoring it again would destroy what was written
// since. A retired state is used only where the disk provably did not change.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "vm/store.h"

enum saved_kind {
    SAVED_NONE,
    SAVED_READY,
    SAVED_RETIRED, // somebody was about to run it, or did
};
enum saved_kind saved_find(int vm_fd);

// The manifest of what saved_find() found: checked for version and form, owned by the caller.
json_t *saved_manifest(int vm_fd, enum saved_kind kind, struct err *e);

// The directory that holds it; -1 with *e.
int saved_open(int vm_fd, enum saved_kind kind, struct err *e);

// Takes from the manifest what a configuration written by hand does not say (kernel, machine, …)
// and what cannot differ (memorySize); *warning, owned by the caller, tells when that changed a
// value.
int saved_complete_config(const json_t *manifest, struct vm_config *c, char **warning,
                          struct err *e);

// Whether disk, kernel and initrd are what they were at the save: by size and time. Another time on
// the same file is a change; on another file (a copied directory) sampled content decides.
// ERR_FAILED names the file. A retired state asks for more: the same time, and no reboot of this
// host since the save.
int saved_check_files(const struct vm *vm, const json_t *manifest, enum saved_kind kind,
                      struct err *e);

// What saved_check_files() will compare, for a new manifest.
json_t *saved_file_facts(const struct vm *vm, struct err *e);

// The copy of a saved state, whose disk is another image with the content of the source's: it is
// made to belong to that one, if the source's own state fits the source. No state is fine.
int saved_rebind(const struct vm *source, int copy_fd, struct err *e);

// A new state: an empty hidden directory (an older attempt's is removed), then published. A
// VM that runs has no other state: its run began by discarding what there was.
// `manifest` is borrowed; version and time are added to it.
int saved_begin(int vm_fd, struct err *e);
int saved_publish(int vm_fd, int dir_fd, json_t *manifest, bool sync, struct err *e);

void saved_abandon(int vm_fd); // removes the hidden directory

int saved_retire(int vm_fd, struct err *e);   // READY → RETIRED, durable
int saved_unretire(int vm_fd, struct err *e); // and back, when the guest did not run after all
// Every kind is gone at once; the files, which take a while, go with saved_sweep().
int saved_discard(int vm_fd, struct err *e);
void saved_sweep(int vm_fd);
