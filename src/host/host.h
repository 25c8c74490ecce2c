// What the files of the Host process share: one running VM.
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

#include "base/logfile.h"
#include "engine/engine.h"
#include "host/agent.h"
#include "host/console.h"
#include "host/exec.h"
#include "host/identity.h"
#include "host/nic.h"
#include "host/state.h"
#include "host/vsock.h"
#include "proto/server.h"
#include "vm/record.h"
#include "vm/saved.h"
#include "vm/store.h"

struct host_options {
    const char *home;
    const char *id;
    bool headless;
    bool disconnected_nic;
    bool nat_nic;
    bool discard_state;
    const char *assign_ip;      // IP/MASK/GW that the guest may ask for; NULL: none
    const char *attach_network; // server path; NULL: the configuration's serverSocket
    const char *hostname;       // that the guest gets before it is ready; NULL: it keeps its own
    const char *machine_id;     // the same, 32 hexadecimal digits
    int notify_fd;              // one line about how the start went; -1: none
    bool fork;                  // `id` is one
    bool reserve;               // `id` is its base: it gets its name later
    bool vsock;                 // reserve: the fork can have a vsock device
    int keeper_fd;              // of one that was in reserve: closed when it is ready; -1: none
    bool hold;                  // it stands still once it has its identity
    int lock_fd;                // of its directory, held
    int tie_fd;                 // readable when it shall end (os_process_watch()); -1: none
};

// A NIC in the guest: which role it has now, and the MAC that the guest still has for it.
struct host_nic {
    enum nic_role role;
    struct mac mac;    // the configuration's, or by order another
    struct mac actual; // the guest's, which differs after a restore with another configuration
    struct mac device; // the engine's, which the guest has after a reboot
};

struct host {
    struct host_options *options;
    struct event_base *base;
    struct store store;
    struct vm vm;
    struct layers layers;    // the disks below its own
    struct fork *fork;       // NULL: it is none
    struct reserve *reserve; // NULL: it has a name
    const struct vm *source; // whose kernel and saved state it runs from: vm, or a fork's base

    enum state state;
    char *reason;          // of the state, where it has one
    char *io_error;        // why the disk failed during the last save; NULL: it did not
    const char *ended;     // how the run ends, one of ENDED_…; NULL while it does not
    bool panic_by_console; // that is how we know of it
    bool loaded;           // the engine takes orders
    bool begun;            // the record says that it runs
    char *note;            // what a user should know of how it was started
    struct err failure;

    const struct engine_ops *ops;
    struct engine *engine;
    struct console *console;
    struct agent *agent;
    struct execs execs; // commands in the guest
    struct identity identity;
    struct nic *nic;
    bool nic_moved;      // it has another socket, of which the engine does not know yet
    struct vsock *vsock; // NULL: the VM has none
    struct logfile *engine_log;
    struct server *control;
    struct event *signals[4];
    struct event *agent_late;

    struct host_nic nics[ENGINE_NICS_MAX];
    int nic_count;
    bool resumed;               // started from a saved state
    bool identity_right;        // the agent has set it since the guest runs
    bool agent_expected;        // the saved guest had an agent
    struct host_nic *replugged; // the one that the engine replaces now
    struct mac replug_mac;      // which that gets
    bool replug_failed;
    bool unannounced; // the NIC's first frames under another MAC are due once it is connected
    json_t *manifest; // of the state being restored

    struct request *waiting[16]; // who ordered the end, answered when it is true
    int waiting_count;
    char started[32];
};

// host.c: the life of the process.
void host_enter(struct host *h, enum state to, const char *reason);
bool host_input(struct host *h, enum input in, const char *reason); // false: no such transition
int host_order(struct host *h, enum input in, struct err *e);       // the same for an order
void host_end(struct host *h, const char *ended);                   // the engine shall go
void host_note(struct host *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void host_halt(struct host *h, const char *why);
void host_plug_vsock(struct host *h); // a fresh device, after a resume or a save that failed
void host_sync_link(struct host *h);  // the guest's NIC follows the socket
void host_tell_agent(struct host *h); // an event about it

// boot.c: from a VM at rest to a running guest.
int boot_start(struct host *h, struct err *e);
// A fork in reserve has its name, and these ends (taken).
int boot_claimed(struct host *h, int console_fd, int agent_fd, int nic_fd, struct err *e);
void boot_started(struct host *h);                       // who waits is told
void boot_failed(struct host *h, const struct err *why); // the run ends, and why is told

// macs.c: each NIC gets the MAC that the configuration asks for, before it is connected.
void macs_begin(struct host *h);         // right after a restore
void macs_reset(struct host *h);         // a reboot gave every NIC its own MAC
void macs_gone(struct host *h, int nic); // the guest has let go of it, unasked or late
void macs_connect(struct host *h);       // frames may leave
void macs_announce(struct host *h);      // they have a way now
bool macs_right(const struct host *h);
// What the agent is to set, and what it says of that; NULL: nothing.
void macs_add(const struct host *h, struct settings *s);
void macs_answered(struct host *h, const struct settings *s);
// Another MAC by order. The NIC with this role ("socket", "nat"; NULL: that one, or the other), or
// NULL; whether it may have it; before the agent is asked, and after: a NIC whose agent did not do
// it is to have the one from before, which a reboot may have taken from it meanwhile.
struct host_nic *macs_nic(struct host *h, const char *role);
int macs_check(const struct host *h, const struct host_nic *n, const struct mac *mac,
               struct err *e);
void macs_give(struct host *h, struct host_nic *n, const struct mac *mac);
void macs_given(struct host *h, struct host_nic *n, const struct mac *before,
                const struct settings *s);

// save.c
struct save_order {
    bool sync;
    struct request *keep; // a fork is to become a VM and go on, and this to be told; NULL: `stop`
    const char *id;       // that VM's
    int vm_fd;            // its directory, taken unless save_start() refuses
};
// Refuses, or answers `keep`, or h->waiting, later.
int save_start(struct host *h, const struct save_order *order, struct err *e);

// control.c
extern const struct verb host_verbs[];
json_t *host_status(const struct host *h);
bool host_ready(const struct host *h);
