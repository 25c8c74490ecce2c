// The bundle: the directory that holds the VMs. A directory in it with a valid config.json *is* a
// VM, wherever it was copied from; names that start with '.' are half-made or half-deleted ones.
#pragma once

#include "base/err.h"
#include "base/lock.h"
#include "vm/config.h"

// Names of the files in a VM's directory.
#define VM_CONFIG "config.json"
#define VM_DISK "Disk.img"
#define VM_AUX "AuxiliaryStorage"
#define VM_HARDWARE "HardwareModel"
#define VM_MACHINE_ID "MachineIdentifier"
#define VM_KERNEL "Kernel"
#define VM_INITRD "Initrd"
#define VM_SAVED "SaveFile.vzvmsave"
#define VM_RETIRED ".SaveFile.retired" // saved.h
#define VM_LOCK "lock"
#define VM_CONSOLE_LOG "console.log"
#define VM_HOST_LOG "host.log"
#define VM_ENGINE_LOG "engine.log"
#define VM_RUN "run.json"
#define VM_SSH_KEY "ssh_key"
#define VM_KNOWN_HOSTS "known_hosts"

struct store {
    char *path;    // absolute
    int fd;        // the directory
    char *runtime; // directory of this bundle's run-time files, absolute, mode 0700
};

// Opens the bundle at `home`, or $TAILMAC_HOME, or ~/VM.bundle, making it where it does not exist.
// Its run-time directory is $XDG_RUNTIME_DIR/tailmac or /tmp/tailmac-<uid>; for a bundle that is
// not
// ~/VM.bundle a subdirectory of that, named by a hash of the bundle's path, so that two bundles may
// each have a VM of one name. A /tmp directory that another user owns is refused.
int store_open(struct store *s, const char *home, struct err *e);
void store_close(struct store *s);

// Ids of all VMs and forks, sorted, NULL-terminated; free with store_list_free().
char **store_list(const struct store *s, struct err *e);
void store_list_free(char **ids);
// "a, b, c and 3 more"; NULL where there are none. The caller frees.
char *store_list_text(char *const *ids);

// A VM's directory, opened. The lock is held until vm_close().
struct vm {
    const struct store *store;
    char *id;
    int fd;      // the directory
    int lock_fd; // -1 when opened with LOCK_NONE
    bool fork;   // it is one (vm/fork.h): not of the bundle, and gone when its Host is
    struct vm_config config;
};

// ERR_USAGE: not an id; ERR_NO_VM; ERR_BUSY: in use (running or being changed), which the message
// says. Warnings of the configuration are printed on standard error once. Keys that the file does
// not name and the directory tells (kernel, initrd, diskFormat) are filled in; config_has() still
// says no for them.
int vm_open(const struct store *s, const char *id, enum lock_kind lock, struct vm *vm,
            struct err *e);
// The same without reading config.json (vm->config has the defaults): to delete a broken VM.
int vm_open_unread(const struct store *s, const char *id, enum lock_kind lock, struct vm *vm,
                   struct err *e);
void vm_close(struct vm *vm); // a vm that is closed or all zeros is left alone
bool vm_has_file(const struct vm *vm, const char *name); // anything of that name in its directory
int vm_write_config(struct vm *vm, struct err *e);       // atomic, durable
// The same, into a directory.
int config_write(int dirfd, const struct vm_config *c, bool sync, struct err *e);

// A new VM is filled in a hidden directory and appears whole, or not at all.
//   new_vm_begin → fill draft->fd → new_vm_publish; new_vm_abandon removes what was made (safe, and
//   a no-op, after publish). What a killed process left is removed by the next store_sweep().
struct new_vm {
    const struct store *store;
    char *id;
    char *name; // the hidden directory's
    int fd;
    int lock_fd;
};
int new_vm_begin(const struct store *s, const char *id, struct new_vm *draft, struct err *e);
// `sync`: a VM that was published survives a power cut. ERR_EXISTS where the id was taken
// meanwhile.
int new_vm_publish(struct new_vm *draft, const struct vm_config *c, bool sync, struct err *e);
void new_vm_abandon(struct new_vm *draft);

// Removes hidden directories that no process holds, and what is left of forks.
void store_sweep(const struct store *s);

// Removes a VM (which the caller holds exclusively) and its run-time files: renamed away first, so
// that it is gone at once.
int vm_delete(struct vm *vm, struct err *e);

// Paths of run-time files; ERR_FAILED where longer than a unix socket's address allows (103 bytes).
// `suffix` is one of the RUNTIME_ names.
#define RUNTIME_CONTROL ".ctl"
#define RUNTIME_CONSOLE ".console"
#define RUNTIME_VSOCK ".vsock"
#define RUNTIME_NIC ".nic"
#define RUNTIME_VERIFIED ".verified" // its saved state was read and found whole
int runtime_path(const struct store *s, const char *id, const char *suffix, char **out,
                 struct err *e);
// Unlinks every run-time file of a VM that does not run (the caller holds its lock).
void runtime_remove(const struct store *s, const char *id);
