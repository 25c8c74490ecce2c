// What the files of the QEMU engine share.
#pragma once

#include <sys/types.h>

#include "base/spawn.h"
#include "base/ticks.h"
#include "engine/engine.h"
#include "engine/qemu/accel.h"
#include "engine/qemu/machine.h"
#include "engine/qemu/qmp.h"

// A call of engine.h that waits: who asked, and what for.
struct op {
    struct engine *en;
    engine_done *done;
    void *arg;
};

enum { LAST_WORDS = 400 };

struct engine {
    struct event_base *base;
    struct engine_callbacks callbacks;
    struct machine machine;
    struct accel_choice accel;
    uint64_t cpus;
    const char *firmware; // UEFI code; NULL: none
    char *version;        // "7.2.22"
    struct engine_nic nics[ENGINE_NICS_MAX];
    int nic_count;
    bool nic_gone[ENGINE_NICS_MAX]; // the guest has let go of it
    bool nat_detached;              // the NAT NICs have no backend: a save took it away
    int ssh_port;                   // 0: none, or not now
    uint64_t ram_size;
    int ram_fd;
    bool ram_private; // ram_fd is the saved memory itself, mapped copy-on-write
    bool fork;
    struct ticks born; // when the process was started

    struct qmp *qmp;
    pid_t pid;
    struct event *child; // SIGCHLD
    struct event *quit_timer;
    struct event *log;
    int log_fd;
    char last_words[LAST_WORDS];

    struct op *starting; // answered when the guest is loaded and paused
    int saved_dir;       // while starting from a saved state, else -1
    int stream_fd;       // the same, out of another engine
    json_t *saved;       // its document
    bool ram_loading;    // a thread fills ram_fd: ENGINE_EXITED waits for it
    bool ram_loaded;     // the saved RAM is in ram_fd
    bool qmp_ready;
    struct err ram_error;  // why it is not; code 0: none
    struct save *save;     // a save under way
    struct op *sending;    // a send
    struct replug *replug; // a NIC on its way out and in
    struct unplug *unplug; // a device on its way out
    bool vsock;            // there is a place for a vsock device
    bool vsock_plugged;    // and one in it
    bool running;          // the guest, when what QEMU was told so far is done
    bool migrating;
    bool exited;
    int exit_status;
};

struct op *op_new(struct engine *en, engine_done *done, void *arg);
void op_end(struct op *op, const struct err *why);                    // answers and frees
void op_reply(void *op, const json_t *result, const struct err *why); // a qmp_reply that ends it

// Whether QEMU has ended; `done` is then answered so.
bool qemu_ended(const struct engine *en, engine_done *done, void *arg);
json_t *qemu_describe(const struct engine *en);
void qemu_exited(struct engine *en); // reports the end once nothing works on the engine's files

// probe.c
bool qemu_probe(const char *runtime, json_t *checks);

// argv.c: the command line, from the table in machine.c.
void qemu_argv(const struct engine *en, const struct engine_spec *spec, int qmp_fd,
               struct argv *out);
json_t *nic_device_args(const struct mac *mac, int index);
json_t *nic_backend_args(const struct engine_nic *nic, int index, const char *fd_name);

// migrate.c: state out and in.
int qemu_verify(int dir_fd, const json_t *saved, struct err *e); // engine_ops.verify
int qemu_map_ram(struct engine *en, struct err *e); // the saved memory itself, copy-on-write
int qemu_load_ram(struct engine *en,
                  struct err *e);  // a copy of it, in a thread, beside QEMU's start
void qemu_load(struct engine *en); // goes on when QEMU and RAM are both ready
bool save_copying(const struct engine *en);
void qemu_save(struct engine *en, int dir_fd, bool sync, engine_saved_done *done, void *arg);
void migration_event(struct engine *en, const char *status);
void save_abort(struct engine *en, const struct err *why); // the engine ended in the middle

// send.c
void qemu_send(struct engine *en, int fd, engine_done *done, void *arg);
void send_over(struct engine *en, bool completed);       // says QEMU
void send_end(struct engine *en, const struct err *why); // no send under way is fine
void ram_in_stream(struct engine *en, bool is);          // before a migration of either way

// nic.c
void nic_link(struct engine *en, int nic, bool up, engine_done *done, void *arg);
void nic_socket(struct engine *en, int nic, int fd, engine_done *done, void *arg);
void nic_replug(struct engine *en, int nic, const struct mac *mac, engine_done *done, void *arg);
void nic_deleted(struct engine *en, const char *device); // which nobody awaited
void replug_abort(struct engine *en, const struct err *why);
void nat_detach(struct engine *en, qmp_reply *reply, void *arg);  // `reply` after the last of them
void nat_attach(struct engine *en, engine_done *done, void *arg); // if they are off
void nat_ask_port(struct engine *en, engine_done *done, void *arg); // fills ssh_port

// unplug.c: one device at a time; ERR_TIMEOUT where the guest does not let go of it.
void unplug_device(struct engine *en, const char *id, int patience_ms, engine_done *done,
                   void *arg);
bool unplug_deleted(struct engine *en, const char *id); // DEVICE_DELETED: whether it was awaited
void unplug_abort(struct engine *en, const struct err *why);

// vsock.c
json_t *vsock_device_args(void);
void vsock_plug(struct engine *en, int fd, engine_done *done, void *arg);
void vsock_unplug(struct engine *en, engine_done *done, void *arg);
void vsock_deleted(struct engine *en, const char *device); // which nobody awaited
