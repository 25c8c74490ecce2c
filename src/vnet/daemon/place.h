// Where in the lab a client belongs: its name, its network, the conditions of its link.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/parse.h"
#include "vnet/vnet.h"

struct daemon;

// What is known of a client that wants in; each may be NULL.
struct identity {
    const struct mac *mac;
    const char *name, *network;
};

// The number of a network; -1 with ERR_USAGE.
int place_network(const struct daemon *d, const char *name, struct err *e);

// The source address of a frame; false where it has none that can be a client's.
bool place_mac(const uint8_t *frame, size_t n, struct mac *out);

enum { PLACE_NAME_MAX = 65 };
struct place {
    char name[PLACE_NAME_MAX];
    char own[PLACE_NAME_MAX]; // the one that the client gave itself; "": none
    unsigned network;
    struct vnet_link link[2];
};

// The network that was asked for, else that of the lab's node with this MAC, else the default one
// where the lab lets strangers in. -1 with ERR_USAGE.
int place_find(const struct daemon *d, const struct identity *who, struct place *out,
               struct err *e);
