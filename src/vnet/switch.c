// Learns where MACs are and brings frames there. A frame for many is copied once and shared.
#include "vnet/switch.h"

#include "vnet/ethernet.h"

static unsigned network_number(const struct packet *p)
{
    return (unsigned)(p->network - p->v->networks);
}

static struct plug *owner_of(const struct packet *p, struct mac mac)
{
    int plug = owners_find(&p->v->owners, network_number(p), mac);
    return plug == OWNER_NONE ? NULL : &p->v->plugs[plug];
}

bool switch_learn(const struct packet *p)
{
    const struct plug *owner = owner_of(p, p->from_mac);
    if (owner == p->plug)
        return true;
    if (owner || mac_equal(p->from_mac, p->network->router_mac)) {
        drop(p, VNET_DROP_STOLEN_MAC);
        return false;
    }
    if (!owners_add(&p->v->owners, network_number(p), p->from_mac,
                    (unsigned)(p->plug - p->v->plugs))) {
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

static struct frame *copy(const struct packet *p, struct bytes frame)
{
    struct frame *f = pool_take(&p->v->pool, frame.n);
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

void switch_flood(const struct packet *p, struct bytes frame)
{
    struct frame *f = is_alone(p) ? NULL : copy(p, frame);
    if (!f)
        return;
    deliver_to_others(p, p->plug, f);
    pool_release(&p->v->pool, f);
}

void switch_unicast(const struct packet *p, struct bytes frame)
{
    struct plug *to = owner_of(p, p->to_mac);
    if (!to && is_alone(p)) {
        drop(p, VNET_DROP_NOBODY);
    } else if (!to) {
        switch_flood(p, frame);
    } else if (to == p->plug) {
        drop(p, VNET_DROP_SAME_PLUG);
    } else {
        struct frame *f = copy(p, frame);
        if (!f)
            return;
        lab_deliver(p->v, to, f);
        pool_release(&p->v->pool, f);
    }
}

void switch_send(const struct packet *p, struct frame *f)
{
    struct mac mac = get_mac(written(f, 0), 0);
    struct plug *to = mac_is_group(mac) ? NULL : owner_of(p, mac);
    if (to)
        lab_deliver(p->v, to, f);
    else
        deliver_to_others(p, NULL, f);
}
