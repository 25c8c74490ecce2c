// A fork in reserve: its guest is loaded and stands still, and it has no name, no directory and no
// socket yet. It gets these from its pool's keeper, when somebody wants a fork; all that costs time
// was done before. Also by the guest: it ran for a moment, its socket NIC unconnected, and was
// given an identity, which is not the last. An emulator has translated then what a fork runs first,
// and everything that it touches is in memory. It ends with the keeper, whatever ends that.
//
// Over a socket that keeps messages apart it says once how the start went ({"ok"} or {"error"}),
// and gets at most one message: {"id","hold"} with the descriptors of the fork's lock, of the pipe
// that it reports to, of its log, and of what it is tied to, if anything. It closes the
// socket when the fork is ready.
#pragma once

#include "host/host.h"

struct reserve;

// Opens the base, locked, and makes it the run's source.
int reserve_open(struct host *h, struct err *e);
void reserve_free(struct reserve *r);

// What will be connected once the fork has a name (taken), and the NIC's socket.
void reserve_keep(struct reserve *r, int console_fd, int agent_fd);
int reserve_nic(const struct reserve *r);

void reserve_loaded(struct host *h); // the engine has loaded it
void reserve_rests(struct host *h);  // its guest has run, and stands still again
// Whether a guest may do this in reserve.
bool reserve_event(enum engine_event what);
