// The lease table: an array, and chains through it by which a client, an address and a name are
// found. Room for a new client is searched record by record: that takes some microseconds for a
// thousand.
#include "vnet/services/leases.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "vnet/switch/ethernet.h"

enum { FIXED_FIRST = 100, FIXED_LAST = 199 }; // last octets of nodes' addresses

// Two thirds of what there is for one plug alone.
enum { SHARE_OF_THE_REST = 2 };

bool leases_is_guests(const struct leases *l, uint32_t address)
{
    uint32_t host = address & l->host_bits;
    return l->router && ((address ^ l->router) & ~l->host_bits) == 0 && host != 0 &&
           host != l->host_bits && address != l->router;
}

// The last octet is replaced in the network's own first 24 bits, where nodes' addresses are.
static uint32_t numbered(const struct leases *l, uint32_t octet)
{
    return ((l->router & ~l->host_bits) & ~255u) | octet;
}

static bool is_numbered(const struct leases *l, uint32_t address)
{
    uint32_t octet = address & 255;
    return address == numbered(l, octet) && octet >= FIXED_FIRST && octet <= FIXED_LAST;
}

void leases_init(struct leases *l, uint32_t router, uint8_t prefix, uint32_t max)
{
    uint32_t chains = 1;
    while (chains < max)
        chains *= 2;
    *l = (struct leases){
        .all = xcalloc(max, sizeof *l->all),
        .max = max,
        .mask = chains - 1,
        .router = router,
        .host_bits = router ? UINT32_MAX >> prefix : 0,
    };
    for (int by = 0; by < LEASE_INDEXES; by++)
        l->heads[by] = xcalloc(chains, sizeof(struct lease *));
    l->pool = router ? l->host_bits - 2 : 0; // without network, broadcast, router
    for (uint32_t octet = FIXED_FIRST; octet <= FIXED_LAST; octet++)
        l->pool -= leases_is_guests(l, numbered(l, octet));
}

void leases_fini(struct leases *l)
{
    free(l->all);
    for (int by = 0; by < LEASE_INDEXES; by++)
        free(l->heads[by]);
}

static struct lease **chain(const struct leases *l, enum lease_index by, const void *key, size_t n)
{
    return &l->heads[by][hash_bytes(key, n) & l->mask];
}

static struct lease **chain_of(const struct leases *l, enum lease_index by, const struct lease *one)
{
    const struct vnet_lease *is = &one->is;
    if (by == LEASE_BY_MAC)
        return chain(l, by, &is->mac, sizeof is->mac);
    if (by == LEASE_BY_ADDRESS)
        return chain(l, by, &is->address, sizeof is->address);
    return chain(l, by, is->host, strlen(is->host));
}

static bool is_used(const struct lease *one)
{
    return one->is.address || one->node;
}

static bool is_declined(const struct lease *one, uint64_t now)
{
    return one->is.id_length == 0 && one->is.until > now;
}

static bool is_in(const struct lease *one, enum lease_index by)
{
    return by == LEASE_BY_MAC       ? is_used(one)
           : by == LEASE_BY_ADDRESS ? one->is.address != 0
                                    : one->is.host[0] != 0;
}

static void link_in(struct leases *l, struct lease *one, enum lease_index by)
{
    struct lease **head = chain_of(l, by, one);
    one->next[by] = *head;
    *head = one;
}

static void link_out(struct leases *l, struct lease *one, enum lease_index by)
{
    struct lease **at = chain_of(l, by, one);
    while (*at != one)
        at = &(*at)->next[by];
    *at = one->next[by];
}

// A record is changed as a whole, so that it is always in the right chains. All zero: unused.
static void set(struct leases *l, struct lease *one, struct lease to)
{
    bool was_seen = is_used(one) && !one->offered;
    for (int by = 0; by < LEASE_INDEXES; by++)
        if (is_in(one, by))
            link_out(l, one, by);
    *one = to;
    for (int by = 0; by < LEASE_INDEXES; by++)
        if (is_in(one, by))
            link_in(l, one, by);
    if (was_seen || (is_used(one) && !one->offered))
        l->changes++;
}

static void end(struct leases *l, struct lease *one, uint64_t now)
{
    struct lease ended = *one;
    ended.is.until = now;
    set(l, one, ended);
}

static struct lease *find_address(const struct leases *l, uint32_t address)
{
    struct lease *one = *chain(l, LEASE_BY_ADDRESS, &address, sizeof address);
    while (one && one->is.address != address)
        one = one->next[LEASE_BY_ADDRESS];
    return one;
}

static struct lease *find_node(const struct leases *l, struct mac mac)
{
    struct lease *one = *chain(l, LEASE_BY_MAC, &mac, sizeof mac);
    while (one && !(one->node && mac_equal(one->is.mac, mac)))
        one = one->next[LEASE_BY_MAC];
    return one;
}

static bool is_of(const struct lease *one, const struct client *client)
{
    return mac_equal(one->is.mac, client->mac) && one->is.id_length == client->id.n &&
           memcmp(one->is.id, client->id.at, client->id.n) == 0;
}

// A node is known by its MAC, whatever its identifier.
static struct lease *find_client(const struct leases *l, uint64_t now, const struct client *client)
{
    struct lease *node = find_node(l, client->mac);
    if (node && !is_declined(node, now))
        return node;
    struct lease *one = *chain(l, LEASE_BY_MAC, &client->mac, sizeof client->mac);
    while (one && (one->node || !is_of(one, client)))
        one = one->next[LEASE_BY_MAC];
    return one;
}

// 0: the MAC has no number, or the network has no such address.
static uint32_t numbered_address(const struct leases *l, struct mac mac)
{
    static const uint8_t node[] = {0x52, 0xcc, 0xcc, 0xcc, 0xcc};
    uint8_t number = mac.octet[5];
    if (memcmp(mac.octet, node, sizeof node) != 0 || number > FIXED_LAST - FIXED_FIRST)
        return 0;
    uint32_t address = numbered(l, FIXED_FIRST + number);
    const struct lease *at = find_address(l, address);
    return leases_is_guests(l, address) && !(at && at->node) ? address : 0;
}

// 0: the client has one of the others.
static uint32_t fixed_address(const struct leases *l, struct mac mac)
{
    const struct lease *node = find_node(l, mac);
    return node ? node->is.address : numbered_address(l, mac);
}

static bool may_have(const struct leases *l, uint64_t now, const struct client *client,
                     uint32_t address)
{
    const struct lease *at = find_address(l, address);
    if (!leases_is_guests(l, address) || (at && is_declined(at, now)))
        return false;
    if (address == fixed_address(l, client->mac))
        return true;
    if (is_numbered(l, address) || (at && at->node))
        return false;
    return !at || at->is.until <= now || is_of(at, client);
}

uint32_t leases_known(const struct leases *l, uint64_t now, const struct client *client)
{
    uint32_t fixed = fixed_address(l, client->mac);
    if (fixed && may_have(l, now, client, fixed))
        return fixed;
    const struct lease *lease = find_client(l, now, client);
    return lease ? lease->is.address : 0;
}

static bool is_earlier(const struct lease *one, const struct lease *than)
{
    return !than || one->is.until < than->is.until;
}

// What there is for a new client.
struct rest {
    struct lease *room;              // an unused record, else the one that ended first
    struct lease *offer, *own_offer; // the oldest that was not taken, of all and of the plug
    uint32_t mine;                   // addresses that the plug holds
    uint32_t left;                   // that it could get
};

static void count_in(struct rest *r, struct lease *one, uint32_t plug)
{
    bool mine = one->plug == plug && plug != LEASE_NO_PLUG;
    r->mine += mine;
    if (one->offered && is_earlier(one, r->offer))
        r->offer = one;
    if (one->offered && mine && is_earlier(one, r->own_offer))
        r->own_offer = one;
}

static struct rest find_rest(const struct leases *l, uint64_t now, uint32_t plug)
{
    struct rest r = {0};
    uint32_t records = 0;
    uint32_t pool = 0;
    for (struct lease *one = l->all; one < l->all + l->max; one++) {
        bool live = one->node || one->is.until > now;
        if (!is_used(one) || !live) {
            if (!r.room || (is_used(r.room) && (!is_used(one) || is_earlier(one, r.room))))
                r.room = one;
            continue;
        }
        records++;
        if (!one->node && !is_numbered(l, one->is.address)) {
            pool++;
            count_in(&r, one, plug);
        }
    }
    uint32_t addresses = l->pool > pool ? l->pool - pool : 0;
    r.left = addresses < l->max - records ? addresses : l->max - records;
    return r;
}

static bool is_fair(const struct rest *r)
{
    return r->mine <= SHARE_OF_THE_REST * (uint64_t)r->left;
}

static uint32_t first_free(const struct leases *l, uint64_t now, const struct client *client)
{
    uint32_t hosts = l->host_bits - 1;
    uint32_t probe = (uint32_t)(hash_bytes(&client->mac, sizeof client->mac) % hosts);
    for (uint32_t i = 0; i < hosts; i++) {
        uint32_t address = (l->router & ~l->host_bits) + 1 + (probe + i) % hosts;
        if (may_have(l, now, client, address))
            return address;
    }
    return 0;
}

// There are no more taken addresses than records, which bounds the search for a free one.
uint32_t leases_choose(struct leases *l, uint64_t now, const struct client *client, uint32_t wanted)
{
    uint32_t known = leases_known(l, now, client);
    if (known || !l->router)
        return known;
    struct rest r = find_rest(l, now, client->plug);
    bool fair = is_fair(&r);
    if (fair && r.left > 0)
        return may_have(l, now, client, wanted) ? wanted : first_free(l, now, client);
    struct lease *offer = fair ? r.offer : r.own_offer;
    if (!offer)
        return 0;
    end(l, offer, now);
    return offer->is.address;
}

// What the record becomes.
static struct lease bound(const struct client *client, uint32_t address, const struct lease *before,
                          const struct lease *how)
{
    struct lease to = *how;
    to.node = before->node;
    to.plug = client->plug;
    to.is.address = address;
    to.is.mac = client->mac;
    to.is.id_length = (uint8_t)client->id.n;
    memcpy(to.is.id, client->id.at, client->id.n);
    memcpy(to.is.host, before->node ? before->is.host : client->host, sizeof to.is.host);
    return to;
}

// `how` says how long, and whether it is an offer.
static bool bind(struct leases *l, uint64_t now, const struct client *client, uint32_t address,
                 struct lease how)
{
    if (!may_have(l, now, client, address))
        return false;
    struct lease *at = find_address(l, address);
    struct lease *own = find_client(l, now, client);
    bool has_it = own && own->is.address == address && own->is.until > now && own->is.id_length > 0;
    bool is_fixed = address == fixed_address(l, client->mac);
    struct lease *one = own ? own : at;
    if (!has_it && !is_fixed && !(own && own->node)) {
        struct rest r = find_rest(l, now, client->plug);
        one = one ? one : r.room;
        if (!one || !is_fair(&r))
            return false;
    }
    one = one ? one : find_rest(l, now, client->plug).room;
    if (!one)
        return true; // a node needs no record
    if (has_it) {
        how.is.until = own->is.until > how.is.until ? own->is.until : how.is.until;
        how.offered = how.offered && own->offered;
    }
    if (at && at != one)
        set(l, at, (struct lease){0}); // it has ended
    if (one->node && !one->is.address && l->pool > 0)
        l->pool--; // from now on
    set(l, one, bound(client, address, one, &how));
    return true;
}

bool leases_offer(struct leases *l, uint64_t now, const struct client *client, uint32_t address,
                  uint64_t until)
{
    return bind(l, now, client, address, (struct lease){.is.until = until, .offered = true});
}

bool leases_grant(struct leases *l, uint64_t now, const struct client *client, uint32_t address,
                  uint64_t until)
{
    return bind(l, now, client, address, (struct lease){.is.until = until});
}

void leases_release(struct leases *l, uint64_t now, const struct client *client, uint32_t address)
{
    struct lease *lease = find_client(l, now, client);
    if (lease && lease->is.address == address && lease->is.until > now)
        end(l, lease, now);
}

void leases_decline(struct leases *l, uint64_t now, const struct client *client, uint32_t address,
                    uint64_t until)
{
    if (address == 0 || leases_known(l, now, client) != address)
        return;
    struct lease *lease = find_address(l, address);
    if (!lease)
        lease = find_rest(l, now, client->plug).room; // of a node
    if (!lease)
        return;
    struct lease to = {.is = {.address = address, .until = until}, .plug = client->plug};
    if (lease->node) {
        to.node = true;
        to.is.mac = lease->is.mac;
        memcpy(to.is.host, lease->is.host, sizeof to.is.host);
    }
    set(l, lease, to);
}

bool leases_is_reserved(const struct leases *l, struct mac mac)
{
    return find_node(l, mac) != NULL;
}

int leases_reserve(struct leases *l, uint64_t now, struct mac mac, uint32_t address,
                   const char *host, struct err *e)
{
    uint32_t fixed = address ? address : numbered_address(l, mac);
    struct lease *at = fixed ? find_address(l, fixed) : NULL;
    struct lease *room = at ? at : find_rest(l, now, LEASE_NO_PLUG).room;
    if (leases_is_reserved(l, mac))
        return err_set(e, ERR_EXISTS, "the MAC is another node's");
    if (at && (at->node || (at->is.until > now && !mac_equal(at->is.mac, mac))))
        return err_set(e, ERR_EXISTS, "the address is another's");
    if (!room)
        return err_set(e, ERR_USAGE, "there are %u leases already", l->max);
    struct lease node = {.is = {.address = fixed, .mac = mac}, .plug = LEASE_NO_PLUG, .node = true};
    strncpy(node.is.host, host, VNET_LABEL_MAX);
    set(l, room, node);
    if (fixed && !is_numbered(l, fixed) && l->pool > 0)
        l->pool--;
    return 0;
}

void leases_forget_plug(struct leases *l, uint32_t plug)
{
    for (struct lease *one = l->all; one < l->all + l->max; one++)
        if (one->plug == plug)
            one->plug = LEASE_NO_PLUG;
}

bool leases_is_granted(const struct lease *one)
{
    return one->is.address && one->is.id_length > 0 && !one->offered;
}

static bool answers(const struct lease *one, uint64_t now)
{
    return one->node || (leases_is_granted(one) && one->is.until > now);
}

uint32_t leases_of(const struct leases *l, uint64_t now, struct mac mac)
{
    uint32_t fixed = fixed_address(l, mac);
    const struct lease *one = *chain(l, LEASE_BY_MAC, &mac, sizeof mac);
    for (; one && !fixed; one = one->next[LEASE_BY_MAC])
        if (mac_equal(one->is.mac, mac) && answers(one, now))
            fixed = one->is.address;
    return fixed;
}

const struct lease *leases_host(const struct leases *l, uint64_t now, const char *host)
{
    const struct lease *found = NULL;
    const struct lease *one = *chain(l, LEASE_BY_HOST, host, strlen(host));
    for (; one; one = one->next[LEASE_BY_HOST])
        if (answers(one, now) && strcmp(one->is.host, host) == 0 && !(found && found->node))
            found = one;
    return found;
}

const struct lease *leases_at(const struct leases *l, uint64_t now, uint32_t address)
{
    const struct lease *one = find_address(l, address);
    return one && answers(one, now) ? one : NULL;
}
