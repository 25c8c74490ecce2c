// Ports of the host that lead to guests (`tailmac net forward`, `from-host`). The daemon listens,
// so that a port is there as long as it is; the egress accepts.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "vnet/vnet.h"

struct daemon;
struct inlets;

// Sets d->inlets, with those of the lab file. -1 where one of their ports cannot be had.
int inlets_open(struct daemon *d, struct err *e);
void inlets_free(struct inlets *all); // NULL too

// ERR_USAGE for texts that make no sense, ERR_EXISTS where it leads elsewhere already, ERR_BUSY
// where another program has the port.
int inlets_add(struct daemon *d, const char *listen, const char *to, struct err *e);
// Connections that are there stay.
int inlets_remove(struct daemon *d, const char *listen, struct err *e);

// The egress is new: tells it all.
void inlets_say(struct daemon *d);

// See struct vnet_owner.
bool inlets_guest(const struct daemon *d, uint8_t protocol, uint16_t port, struct vnet_guest *out);

// All, each with who is meant just now.
json_t *inlets_document(const struct daemon *d);
