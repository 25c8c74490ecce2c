// Which DHCP client has which address of a network.
//
// A MAC 52:cc:cc:cc:cc:NN with NN up to 99 has the address that ends in 100+NN, always and without
// a record; nobody else gets these. Every other client has a record in a bounded table. A record
// outlives its lease, so that a client that comes back finds its address again, until another one
// needs the address or the room.
#pragma once

#include <stdbool.h>

#include "vnet/frame.h"

struct lease {
    uint32_t address; // 0: an unused record
    uint64_t until;   // ns
    uint8_t id_length;
    uint8_t id[255]; // the client's; of length 0: a declined address, which is nobody's
};

struct leases {
    struct lease *all;
    uint32_t max;
    uint32_t router, host_bits;
};

// Who asks: the client identifier (RFC 2131, 4.2; 1 to 255 bytes) and the MAC.
struct client {
    struct bytes id;
    struct mac mac;
};

void leases_init(struct leases *l, uint32_t router, uint8_t prefix, uint32_t max);
void leases_fini(struct leases *l);

// The address that is the client's by its MAC or by a record; 0: none.
uint32_t leases_known(const struct leases *l, uint64_t now, const struct client *client);
// The best address for a client: its own, else `wanted` where that is free (0: no wish), else the
// first free one from the MAC's hash on. 0: there is none.
uint32_t leases_choose(const struct leases *l, uint64_t now, const struct client *client,
                       uint32_t wanted);
// Gives the client an address, and never for less long than it has it already; false where it may
// not have it or the table is full.
bool leases_bind(struct leases *l, uint64_t now, const struct client *client, uint32_t address,
                 uint64_t until);
// The client's record, if it is of this address, ends now. For an offer that was not taken too.
void leases_release(struct leases *l, uint64_t now, const struct client *client, uint32_t address);
// The client found somebody else at its address: nobody gets it until then.
void leases_decline(struct leases *l, uint64_t now, const struct client *client, uint32_t address,
                    uint64_t until);
