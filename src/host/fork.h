// A fork: a guest out of another VM's saved state, its base. The state stays as it is, and the base
// may be forked again and again; what the guest writes, to memory and disk, is gone with it.
//
// It comes up in three steps. Loaded it stands still, as saved. Then it runs, its NIC unconnected,
// until its agent has given it the MAC, name and random numbers that are its own. Then it is
// connected and gets the rest; one that shall be held gets all, and is paused before.
#pragma once

#include "host/host.h"

struct fork;

// Opens the base, locked, and makes it the run's source. The lock of h->vm becomes the one that
// came with the options.
int fork_open(struct host *h, struct err *e);
// The first part of that, for a fork that has no name yet; fork_open() does the rest.
int fork_reserve(struct host *h, struct err *e);
// It runs until it has an identity, a passing one, and stands still again; nothing is connected.
int fork_rehearse(struct host *h, struct err *e);
void fork_free(struct fork *f);

// The engine has loaded it.
void fork_loaded(struct host *h);
// It has its identity, or cannot get one.
void fork_ready(struct host *h);
void fork_nameless(struct host *h, const struct err *why);
// Ends the hold at `at` (clock_ns()), or at once where that is over; `rq` is answered when the
// guest runs, with the time when it began.
void fork_release(struct host *h, uint64_t at, struct request *rq);

// The guest's disk and firmware variables, whole, in that directory, which has none; for a thread,
// while the guest stands still.
int fork_make_files(const struct host *h, int dir_fd, struct err *e);
int fork_check_keep(const struct fork *f, struct err *e); // whether it can be kept now
bool fork_will_hold(const struct fork *f);
bool fork_is_held(const struct fork *f);

// {"base","group","held"}
json_t *fork_status(const struct fork *f);
// What the guest writes to its disk, over h->layers, and its firmware over the base's variables;
// -1: it has none.
int fork_overlay(const struct fork *f);
int fork_variables(const struct fork *f);
// The guest's CID, 0 where it has no vsock device.
uint32_t fork_cid(const struct fork *f);
