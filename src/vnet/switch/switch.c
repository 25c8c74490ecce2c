// Learns where MACs are and brings frames there. A frame for many is copied once and shared.
#include "vnet/switch/switch.h"

#include "vnet/switch/ethernet.h"

#define MAC_AGE (300 * 1000000000ull) // ns; IEEE 802.1D, table 7-5

static unsigned network_number(const struct packet *p)
{
    return (unsigned)(p->network - p->v->networks);
}

static struct plug *owner_of(const struct packet *p, struct mac mac)
{
    const struct owner *owner = owners_find(&p->v->owners, network_number(p), mac);
    return owner ? &p->v->plugs[owners_plug(&p->v->owners, owner)] : NULL;
}

// Nobody becomes the router.
static bool may_take(struct packet *p, const struct owner *owner)
{
    const struct vnet_owner *ask = &p->v->owner;
    if (mac_equal(p->from_mac, p->network->router_mac))
        return false;
    return !owner ||
           (ask->may_take && ask->may_take(ask->arg, p->from_mac, owners_plug(&p->v->owners, owner),
                                           plug_number(p->v, p->plug)));
}

bool switch_learn(struct packet *p)
{
    struct owners *owners = &p->v->owners;
    uint64_t now = p->v->now;
    struct owner *owner = owners_find(owners, network_number(p), p->from_mac);
    if (owner && owners_plug(owners, owner) == plug_number(p->v, p->plug)) {
        owner->seen = now;
        return true;
    }
    if (!may_take(p, owner)) {
        drop(p, VNET_DROP_STOLEN_MAC);
        return false;
    }
    if (owner)
        owners_remove(owners, owner);
    if (!owners_add(owners, network_number(p), p->from_mac, plug_number(p->v, p->plug), now,
                    now > MAC_AGE ? now - MAC_AGE : 0)) {
        drop(p, VNET_DROP_TOO_MANY_MACS);
        return false;
    }
    return true;
}

// To all plugs of the network but one (NULL: to all).
static void deliver_to_others(const struct packet *p, const struct plug *not_to, struct frame *f)
{
    struct plug *to;
    TAILQ_FOREACH(to, &p->network->plugs, same_network) {
        if (to != not_to)
            lab_deliver(p->v, to, f);
    }
}

// The frame in a buffer of the pool, with a reference for the caller.
static struct frame *buffer_of(struct packet *p, struct bytes frame)
{
    struct frame *f = p->buffer;
    if (f) {
        f->refs++;
        return f;
    }
    f = pool_take(&p->v->pool, frame.n);
    if (f)
        put(f, frame.at, frame.n);
    else
        drop(p, VNET_DROP_NO_BUFFER);
    return f;
}

static bool is_alone(const struct packet *p)
{
    return TAILQ_FIRST(&p->network->plugs) == p->plug && !TAILQ_NEXT(p->plug, same_network);
}

void switch_flood(struct packet *p, struct bytes frame)
{
    struct frame *f = is_alone(p) ? NULL : buffer_of(p, frame);
    if (!f)
        return;
    deliver_to_others(p, p->plug, f);
    pool_release(&p->v->pool, f);
}

void switch_unicast(struct packet *p, struct bytes frame)
{
    struct plug *to = owner_of(p, p->to_mac);
    if (!to && (p->network->is.no_flood || is_alone(p))) {
        drop(p, VNET_DROP_NOBODY);
    } else if (!to) {
        switch_flood(p, frame);
    } else if (to == p->plug) {
        drop(p, VNET_DROP_SAME_PLUG);
    } else {
        struct frame *f = buffer_of(p, frame);
        if (!f)
            return;
        lab_deliver(p->v, to, f);
        pool_release(&p->v->pool, f);
    }
}

void switch_send(struct packet *p, struct frame *f)
{
    struct mac mac = get_mac(written(f, 0), 0);
    struct plug *to = mac_is_group(mac) ? NULL : owner_of(p, mac);
    if (to)
        lab_deliver(p->v, to, f);
    else
        deliver_to_others(p, NULL, f);
}
