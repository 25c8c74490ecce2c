// Which DHCP client has which address of a network.
//
// A node has its address always and alone: vnet_add_node() reserves it; and a MAC 52:cc:cc:cc:cc:NN
// with NN up to 99 has the one that ends in 100+NN without that, which nobody else gets even while
// no such MAC is there. Every other client has a record in a bounded table. A record outlives its
// lease, so that a client that comes back finds its address again, until another one needs the
// address or the room.
//
// A client is its identifier *and* its MAC. RFC 2131, 4.2 and RFC 4361 would have the identifier
// alone; but cloned VMs send the same one (systemd makes it of the machine id), and two of them
// alive with one address are worse than a machine that has two addresses because it changed its
// network card.
//
// DHCP asks for no secret, so a guest can take as many addresses as it makes up clients. Therefore
// an address that was offered and not taken is the first that goes to somebody else; and a plug may
// hold at most twice as many addresses as are left, so that there are always some for others. A
// client that is known gets its own in any case.
#pragma once

#include <stdbool.h>

#include "vnet/frame.h"

enum lease_index { LEASE_BY_MAC, LEASE_BY_ADDRESS, LEASE_BY_HOST, LEASE_INDEXES };

struct lease {
    struct lease *next[LEASE_INDEXES];
    struct vnet_lease is; // id_length 0: nobody's, because it was declined or is an idle node's
    uint32_t plug;        // where its client was seen last
    bool node;            // reserved for this MAC; `host` is the node's name
    bool offered;         // not taken yet
};

struct leases {
    struct lease *all;
    struct lease **heads[LEASE_INDEXES];
    uint32_t max, mask;
    uint32_t router, host_bits;
    uint32_t pool; // addresses that are no node's
    uint64_t changes;
};

enum { LEASE_NO_PLUG = UINT32_MAX };

// Who asks: the client identifier (1 to 255 bytes), the MAC, where from, and what it calls itself
// (a label in lower case, or nothing).
struct client {
    struct bytes id;
    struct mac mac;
    uint32_t plug;
    char host[VNET_LABEL_MAX + 1];
};

void leases_init(struct leases *l, uint32_t router, uint8_t prefix, uint32_t max);
void leases_fini(struct leases *l);

// Whether a guest of the network may have this address at all.
bool leases_is_guests(const struct leases *l, uint32_t address);

// Reserves an address for a MAC. 0: the one that goes with the MAC, else the first that it is
// given. `host` is in lower case.
int leases_reserve(struct leases *l, uint64_t now, struct mac mac, uint32_t address,
                   const char *host, struct err *e);
bool leases_is_reserved(const struct leases *l, struct mac mac);

// The address that is the client's by its MAC or by a record; 0: none.
uint32_t leases_known(const struct leases *l, uint64_t now, const struct client *client);
// The best address for a client: its own, else `wanted` where that is free (0: no wish), else the
// first free one from the MAC's hash on, else one that was offered to another. 0: there is none.
uint32_t leases_choose(struct leases *l, uint64_t now, const struct client *client,
                       uint32_t wanted);
// Holds the address for the client, which has been offered it.
bool leases_offer(struct leases *l, uint64_t now, const struct client *client, uint32_t address,
                  uint64_t until);
// Gives the client the address; false where it may not have it or the table is full. Neither of the
// two gives it for less long than it has it already.
bool leases_grant(struct leases *l, uint64_t now, const struct client *client, uint32_t address,
                  uint64_t until);
// The client's record, if it is of this address, ends now. For an offer that was not taken too.
void leases_release(struct leases *l, uint64_t now, const struct client *client, uint32_t address);
// The address that the host with this MAC has for sure: a node's, or one with a lease; 0: none.
uint32_t leases_of(const struct leases *l, uint64_t now, struct mac mac);
// The client found somebody else at its address: nobody gets it until then.
void leases_decline(struct leases *l, uint64_t now, const struct client *client, uint32_t address,
                    uint64_t until);
// The plug's number will be another's.
void leases_forget_plug(struct leases *l, uint32_t plug);

// Whether it is, or was, a client's; not an offer, a declined address or an idle node.
bool leases_is_granted(const struct lease *one);

// A node, or a client whose lease has not ended, by name (in lower case) or address; NULL: none.
const struct lease *leases_host(const struct leases *l, uint64_t now, const char *host);
const struct lease *leases_at(const struct leases *l, uint64_t now, uint32_t address);
