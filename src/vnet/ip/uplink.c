// Both ends of the two links.
#include "vnet/ip/uplink.h"

#include "vnet/ip/internet.h"
#include "vnet/ip/way-out.h"
#include "vnet/switch/ethernet.h"

static void up_out(struct vnet *v, struct link *l, struct frame *f)
{
    internet_input(v, CONTAINER_OF(l, struct network, uplink[VNET_UP]), f);
}

static void down_out(struct vnet *v, struct link *l, struct frame *f)
{
    struct network *net = CONTAINER_OF(l, struct network, uplink[VNET_DOWN]);
    struct packet p = {.v = v, .network = net, .buffer = f, .dropped = -1};
    net->counters.frames_in++;
    net->counters.bytes_in += f->n;
    ethernet_from_uplink(&p, written(f, 0));
}

void uplink_init(struct network *net)
{
    const struct vnet_link ideal = {0};
    link_init(&net->uplink[VNET_UP], &ideal, up_out);
    link_init(&net->uplink[VNET_DOWN], &ideal, down_out);
}

void uplink_send(struct packet *p, struct frame *f)
{
    struct network *net = p->network;
    int dropped = link_send(p->v, &net->uplink[VNET_UP], f);
    if (dropped >= 0) {
        drop(p, (enum vnet_drop)dropped);
        return;
    }
    if (way_out_is(p->v, net))
        return; // it counts what leaves the lab
    net->counters.frames_out++;
    net->counters.bytes_out += f->n;
}

void uplink_answer(struct packet *p, struct frame *f)
{
    if (p->plug) {
        ethernet_send(p, f);
        return;
    }
    if (!f->full && p->host)
        internet_input(p->v, p->network, f);
    else if (!f->full)
        uplink_send(p, f);
    pool_release(&p->v->pool, f);
}

void uplink_receive(struct vnet *v, struct network *to, struct frame *f)
{
    int dropped = link_send(v, &to->uplink[VNET_DOWN], f);
    if (dropped >= 0)
        to->counters.drops[dropped]++;
}
