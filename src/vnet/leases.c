// The lease table: an array that is searched. It is small, and asked only when DHCP speaks.
#include "vnet/leases.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

enum { FIXED_FIRST = 100, FIXED_LAST = 199 }; // last octets of nodes' addresses

void leases_init(struct leases *l, uint32_t router, uint8_t prefix, uint32_t max)
{
    *l = (struct leases){
        .all = xcalloc(max, sizeof *l->all),
        .max = max,
        .router = router,
        .host_bits = UINT32_MAX >> prefix,
    };
}

void leases_fini(struct leases *l)
{
    free(l->all);
}

// Whether a guest may have it at all.
static bool is_guests(const struct leases *l, uint32_t address)
{
    uint32_t host = address & l->host_bits;
    return ((address ^ l->router) & ~l->host_bits) == 0 && host != 0 && host != l->host_bits &&
           address != l->router;
}

// The last octet is replaced in the network's own first 24 bits, where nodes' addresses are.
static bool is_nodes(const struct leases *l, uint32_t address)
{
    uint32_t octet = address & 255;
    return address >> 8 == (l->router & ~l->host_bits) >> 8 && octet >= FIXED_FIRST &&
           octet <= FIXED_LAST;
}

// 0: the client is no node, or the network has no such address.
static uint32_t fixed_address(const struct leases *l, struct mac mac)
{
    static const uint8_t node[] = {0x52, 0xcc, 0xcc, 0xcc, 0xcc};
    uint8_t number = mac.octet[5];
    if (memcmp(mac.octet, node, sizeof node) != 0 || number > FIXED_LAST - FIXED_FIRST)
        return 0;
    uint32_t address = ((l->router & ~l->host_bits) & ~255u) | (FIXED_FIRST + number);
    return is_guests(l, address) ? address : 0;
}

static bool is_of(const struct lease *lease, const struct client *client)
{
    return lease->address != 0 && lease->id_length == client->id.n &&
           memcmp(lease->id, client->id.at, client->id.n) == 0;
}

static struct lease *find_client(const struct leases *l, const struct client *client)
{
    for (struct lease *one = l->all; one < l->all + l->max; one++)
        if (is_of(one, client))
            return one;
    return NULL;
}

static struct lease *find_address(const struct leases *l, uint32_t address)
{
    for (struct lease *one = l->all; one < l->all + l->max; one++)
        if (one->address == address)
            return one;
    return NULL;
}

// A record for a new client: an unused one, else the one that ended first, else none.
static struct lease *find_room(const struct leases *l, uint64_t now)
{
    struct lease *best = NULL;
    for (struct lease *one = l->all; one < l->all + l->max; one++) {
        if (one->address == 0)
            return one;
        if (one->until <= now && (!best || one->until < best->until))
            best = one;
    }
    return best;
}

static bool may_have(const struct leases *l, uint64_t now, const struct client *client,
                     uint32_t address)
{
    if (!is_guests(l, address) ||
        (is_nodes(l, address) && address != fixed_address(l, client->mac)))
        return false;
    const struct lease *lease = find_address(l, address);
    return !lease || lease->until <= now || is_of(lease, client);
}

uint32_t leases_known(const struct leases *l, uint64_t now, const struct client *client)
{
    uint32_t fixed = fixed_address(l, client->mac);
    if (fixed && may_have(l, now, client, fixed))
        return fixed;
    const struct lease *lease = find_client(l, client);
    return lease ? lease->address : 0;
}

uint32_t leases_choose(const struct leases *l, uint64_t now, const struct client *client,
                       uint32_t wanted)
{
    uint32_t known = leases_known(l, now, client);
    if (known)
        return known;
    if (!find_room(l, now))
        return 0; // also bounds the search: no more addresses are taken than there are records
    if (may_have(l, now, client, wanted))
        return wanted;
    uint32_t hosts = l->host_bits - 1;
    uint32_t probe = (uint32_t)(hash_bytes(client->mac.octet, sizeof client->mac.octet) % hosts);
    for (uint32_t i = 0; i < hosts; i++) {
        uint32_t address = (l->router & ~l->host_bits) + 1 + (probe + i) % hosts;
        if (may_have(l, now, client, address))
            return address;
    }
    return 0;
}

bool leases_bind(struct leases *l, uint64_t now, const struct client *client, uint32_t address,
                 uint64_t until)
{
    if (!may_have(l, now, client, address))
        return false;
    if (address == fixed_address(l, client->mac))
        return true;
    struct lease *before = find_address(l, address);
    if (before && !is_of(before, client))
        before->address = 0; // it has ended
    struct lease *lease = find_client(l, client);
    if (!lease)
        lease = find_room(l, now);
    if (!lease)
        return false;
    if (is_of(lease, client) && lease->address == address && lease->until > until)
        until = lease->until;
    *lease = (struct lease){.address = address, .until = until, .id_length = (uint8_t)client->id.n};
    memcpy(lease->id, client->id.at, client->id.n);
    return true;
}

void leases_release(struct leases *l, uint64_t now, const struct client *client, uint32_t address)
{
    struct lease *lease = find_client(l, client);
    if (lease && lease->address == address && lease->until > now)
        lease->until = now;
}

void leases_decline(struct leases *l, uint64_t now, const struct client *client, uint32_t address,
                    uint64_t until)
{
    if (leases_known(l, now, client) != address)
        return;
    struct lease *lease = find_address(l, address);
    if (!lease)
        lease = find_room(l, now); // of a node
    if (lease)
        *lease = (struct lease){.address = address, .until = until};
}
