// What any hypervisor must do for Host. Host includes this and nothing of QEMU's or Apple's.
//
// An engine runs as a child process and works asynchronously in Host's event loop: a call returns
// at once, its `done` is called from the loop exactly once, with NULL or why it failed. When the
// engine ends, every open call is answered with ERR_NOT_RUNNING first, then ENGINE_EXITED comes;
// calls made in between are answered so too.
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/parse.h"
#include "vm/config.h"
#include "vm/layers.h"

enum { ENGINE_NICS_MAX = 2 };

enum engine_event {
    ENGINE_RUNNING,    // the guest executes
    ENGINE_PAUSED,     // it does not
    ENGINE_IO_ERROR,   // it stands still because its disk failed; `detail` says how
    ENGINE_PANICKED,   // its kernel said so
    ENGINE_RESET,      // it rebooted
    ENGINE_NIC_GONE,   // the guest let go of a NIC, `detail`, by itself or after nic_replug gave up
    ENGINE_VSOCK_GONE, // the guest let go of the vsock device after vsock_unplug had given up
    ENGINE_SHUTDOWN,   // it powered off, as `detail` says; ENGINE_EXITED follows
    ENGINE_EXITED,     // the process ended; `detail` is its exit status and last words
};

enum nic_role { NIC_SOCKET, NIC_NAT };

struct engine_nic {
    enum nic_role role;
    struct mac mac; // what the configuration asks for; a saved guest keeps its own until it reboots
    int socket_fd;  // NIC_SOCKET: Host's socket; the engine duplicates it
};

// A state to start from: what engine_ops.save wrote, and the document it returned.
struct engine_saved {
    int dir_fd;
    int stream_fd; // instead of dir_fd, unless -1: what another's send writes; then its describe
    const json_t *engine;
    // A fork: the guest's memory is a private copy-on-write of the saved one, whose digest was
    // checked before. Else it is a copy, which other processes (a vsock device) may share.
    bool private_ram;
};

// What to start; borrowed during the call only.
struct engine_spec {
    const struct vm_config *config;
    int dir_fd;          // the VM's directory
    const char *runtime; // directory for what this boot of the host may remember
    int lock_fd;         // inherited: the VM's lock ends with the last of both
    bool fork;           // files of dir_fd are others' too, and stay as they are
    int variables_fd;    // of a fork: what it writes over VM_AUX, qcow2; -1: there is no such file
    int console_fd;      // the guest's serial console
    int agent_fd;        // the agent's channel
    struct engine_nic nics[ENGINE_NICS_MAX];
    int nic_count;
    int overlay_fd;              // the disk that the guest writes, qcow2; -1: VM_DISK of dir_fd
    const struct layers *layers; // the disks below it, only read, whose locks it inherits, too
    bool vsock;                  // there is a place for a vsock device
    int vsock_fd;                // and a device in it: a vhost-user back end; -1: none
    const struct engine_saved *saved; // NULL: a cold boot
};

struct engine_callbacks {
    void (*event)(void *arg, enum engine_event what, const char *detail);
    void (*log)(void *arg, const char *text, size_t n); // what the process wrote
    void *arg;
};

typedef void engine_done(void *arg, const struct err *why);
typedef void engine_saved_done(void *arg, json_t *engine, const struct err *why); // owns engine

struct engine;

struct engine_ops {
    const char *name;

    // Starts the process. `done` is called when the guest is loaded and paused.
    struct engine *(*start)(struct event_base *base, const struct engine_spec *spec,
                            const struct engine_callbacks *callbacks, engine_done *done, void *arg,
                            struct err *e);
    void (*resume)(struct engine *en, engine_done *done, void *arg);
    void (*pause)(struct engine *en, engine_done *done, void *arg);

    // Reads all of a saved state and proves that it is whole.
    int (*verify)(int dir_fd, const json_t *saved, struct err *e);

    // Writes the state of the paused guest into dir_fd (synced when `sync`) and says what must be
    // the same to restore it. Afterwards the guest stays paused: quit, or resume when the save is
    // not wanted after all.
    void (*save)(struct engine *en, int dir_fd, bool sync, engine_saved_done *done, void *arg);

    // Writes all of the paused guest, its memory included, to fd: what an engine that is started
    // with the other end as its stream_fd reads. As after a save the guest stays paused.
    void (*send)(struct engine *en, int fd, engine_done *done, void *arg);

    // The cable of a NIC, as the guest sees it.
    void (*nic_link)(struct engine *en, int nic, bool up, engine_done *done, void *arg);
    // Lets a NIC use another socket, unseen by the guest; drops what the old one had queued. A
    // datagram is a frame; in a stream each has its length before it, four bytes, big-endian.
    void (*nic_socket)(struct engine *en, int nic, int fd, engine_done *done, void *arg);
    // Unplugs a NIC, unless it is gone, and plugs it again with `mac`: for a guest without an
    // agent.
    void (*nic_replug)(struct engine *en, int nic, const struct mac *mac, engine_done *done,
                       void *arg);

    // The vsock device, which no state can hold: a save needs it unplugged, which takes a guest
    // that runs. ERR_TIMEOUT where the guest does not agree. Unplugged already is fine.
    void (*vsock_unplug)(struct engine *en, engine_done *done, void *arg);
    void (*vsock_plug)(struct engine *en, int fd, engine_done *done, void *arg);

    void (*quit)(struct engine *en); // ends the process without saving; ENGINE_EXITED follows

    // {"name","version","machine","cpu","accelerator","why",…}; known once started.
    json_t *(*describe)(const struct engine *en);
    int (*pid)(const struct engine *en);
    int (*ssh_port)(const struct engine *en); // loopback port to the guest's port 22; 0: none
    void (*free)(struct engine *en);          // only after ENGINE_EXITED

    bool (*probe)(const char *runtime, json_t *checks); // engines_probe() of one engine
};

// NULL with ERR_HOST_CANNOT for an engine that this build does not have.
const struct engine_ops *engine_find(const char *name, struct err *e);

// Appends to `checks`, for `tailmac doctor`, {"name","ok","detail"} for each thing an engine needs;
// true when some engine can run VMs.
bool engines_probe(const char *runtime, json_t *checks);
