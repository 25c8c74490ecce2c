// config.json: what a VM is made of. Plain JSON, written and read by people too
// (tailmac-config(5)).
//
// One table in config.c names every key with its type, default, range and the command-line option
// that sets it; the file parser and the option parser fill the same struct through it.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/parse.h"

struct vm_config {
    char *vm_id;          // vmID
    char *server_socket;  // serverSocket: the virtual network's datagram socket
    uint64_t memory_size; // memorySize, bytes
    struct mac mac;       // the socket NIC
    struct mac ethermac;  // the NAT NIC
    uint64_t port;        // guest vsock port that Host connects to
    char *shared_dir;     // sharedDir; NULL: none
    char *engine;         // "qemu" or "vz"
    char *arch;           // "x86_64" or "aarch64"
    char *machine;        // NULL: the engine's versioned default
    char *cpu;            // NULL: the engine's named default
    uint64_t cpus;
    char *disk_format; // "raw" or "qcow2"; NULL: no disk
    char *kernel;      // file name in the VM's directory; NULL: boots from the disk
    char *initrd;      // the same
    char *cmdline;     // the kernel's
    char *firmware;    // "bios" or "uefi"; NULL: the machine's default
    bool vsock;
    json_t *keys; // the document as read; unknown keys survive a rewrite
};

// How one key is set from the command line: `--mem 8G` is {"memorySize", "8G"}.
struct config_option {
    const char *option; // long option, without dashes
    const char *key;
    const char *arg; // what its value is called in help
    const char *help;
    const char *choices; // "a|b", for completion; NULL: anything
};
enum { CONFIG_OPTIONS_MAX = 16 };
extern const struct config_option config_options[]; // ends with option NULL

void config_init(struct vm_config *c, const char *id); // defaults
void config_free(struct vm_config *c);

// Fills *c (initialised by this call, empty after a failure) from JSON text; `id` is the
// directory's name and wins over vmID (*warning, freed by the caller, says so; NULL when there is
// nothing to say). An unknown key is kept; a bad value is ERR_FAILED with key, value and what is
// allowed, a syntax error one with line and column.
int config_parse(const char *text, const char *id, struct vm_config *c, char **warning,
                 struct err *e);

// Whether the document (or config_set()) names this key; when not, its value is a default.
bool config_has(const struct vm_config *c, const char *key);

// Sets one key as an option does, from text; empty text unsets a key that has no default. ERR_USAGE
// names `who` ("--mem"; the key, in config_set()), the value and what is allowed; then nothing
// changed.
int config_set(struct vm_config *c, const char *key, const char *text, struct err *e);
int config_set_as(struct vm_config *c, const char *who, const char *key, const char *text,
                  struct err *e);

// What must hold between keys; config_parse() has asked it, config_set() has not. ERR_USAGE.
int config_check(const struct vm_config *c, struct err *e);

// The same VM under another id.
void config_copy(const struct vm_config *from, const char *id, struct vm_config *to);

// Makes every default a value of the document, so that a later default does not change this VM.
void config_settle(struct vm_config *c);

// The whole document, defaults and unknown keys included; the caller owns the reference.
json_t *config_to_json(const struct vm_config *c);
// What the file holds: the keys it had, those that differ from the defaults, and unknown ones.
json_t *config_to_file(const struct vm_config *c);
