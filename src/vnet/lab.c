// A lab as its owner sees it: networks and plugs come and go, frames go in, time passes.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vnet/ethernet.h"
#include "vnet/lab.h"

const struct vnet_limits vnet_default_limits = {
    .networks = 64,
    .plugs = 256,
    .macs_per_plug = 64,
    .leases = 1024,
    .small_frames = 8192,
    .frames = 8192,
    .jumbo_frames = 1024,
    .deliveries = 32768,
};

enum { DOMAIN_MAX = 253, MTU_MIN = 576 }; // RFC 1035, 2.3.4; RFC 2132, 5.1 would take 68

struct vnet *vnet_new(const struct vnet_limits *limits, uint64_t seed, vnet_output *output,
                      void *arg)
{
    struct vnet *v = xcalloc(1, sizeof *v);
    v->limits = *limits;
    v->output = output;
    v->arg = arg;
    v->networks = xcalloc(limits->networks, sizeof *v->networks);
    v->plugs = xcalloc(limits->plugs, sizeof *v->plugs);
    v->deliveries = xcalloc(limits->deliveries, sizeof *v->deliveries);
    owners_init(&v->owners, limits->plugs, limits->macs_per_plug, seed);
    pool_init(&v->pool, limits);
    return v;
}

void vnet_free(struct vnet *v)
{
    if (!v)
        return;
    for (unsigned i = 0; i < v->network_count; i++) {
        leases_fini(&v->networks[i].leases);
        free(v->networks[i].name);
        free(v->networks[i].domain);
    }
    owners_fini(&v->owners);
    pool_fini(&v->pool);
    free(v->networks);
    free(v->plugs);
    free(v->deliveries);
    free(v);
}

static int check_addresses(const struct vnet_network *n, struct err *e)
{
    if (n->prefix < 8 || n->prefix > 30)
        return err_set(e, ERR_USAGE, "the prefix length must be 8 to 30, not %u", n->prefix);
    uint32_t hosts = UINT32_MAX >> n->prefix;
    uint32_t host = n->router & hosts;
    if (host == 0 || host == hosts)
        return err_set(e, ERR_USAGE, "the router's address must be a host's of its network");
    unsigned top = n->router >> 24;
    if (top == 0 || top == 127 || top >= 224)
        return err_set(e, ERR_USAGE, "a network cannot lie in %u.0.0.0/8", top);
    return 0;
}

static int check_network(const struct vnet *v, const struct vnet_network *n, struct err *e)
{
    if (id_check(n->name, e) < 0 || check_addresses(n, e) < 0)
        return -1;
    if (n->mtu < MTU_MIN || n->mtu > VNET_MTU_MAX)
        return err_set(e, ERR_USAGE, "the MTU must be %d to %d", MTU_MIN, VNET_MTU_MAX);
    if (n->lease_seconds == 0)
        return err_set(e, ERR_USAGE, "a lease must last for at least a second");
    if (n->domain && (!*n->domain || strlen(n->domain) > DOMAIN_MAX))
        return err_set(e, ERR_USAGE, "a domain name has 1 to %d characters", DOMAIN_MAX);
    for (unsigned i = 0; i < v->network_count; i++)
        if (strcmp(v->networks[i].name, n->name) == 0)
            return err_set(e, ERR_EXISTS, "there is a network \"%s\" already", n->name);
    if (v->network_count == v->limits.networks || v->network_count == VNET_NETWORKS_MAX)
        return err_set(e, ERR_USAGE, "there are %u networks already", v->network_count);
    return 0;
}

int vnet_add_network(struct vnet *v, const struct vnet_network *n, struct err *e)
{
    if (check_network(v, n, e) < 0)
        return -1;
    unsigned number = v->network_count++;
    struct network *net = &v->networks[number];
    net->name = xstrdup(n->name);
    net->domain = xstrdup(n->domain);
    net->is = *n;
    net->is.name = net->name;
    net->is.domain = net->domain;
    net->router_mac = (struct mac){{0x52, 0xee, 0xee, 0xee, 0xee, (uint8_t)(number + 1)}};
    leases_init(&net->leases, n->router, n->prefix, v->limits.leases);
    TAILQ_INIT(&net->plugs);
    return (int)number;
}

int vnet_add_plug(struct vnet *v, unsigned network, struct err *e)
{
    if (network >= v->network_count)
        return err_set(e, ERR_USAGE, "there is no network %u", network);
    for (unsigned i = 0; i < v->limits.plugs; i++) {
        struct plug *plug = &v->plugs[i];
        if (plug->network)
            continue;
        *plug = (struct plug){.network = &v->networks[network]};
        TAILQ_INSERT_TAIL(&plug->network->plugs, plug, same_network);
        return (int)i;
    }
    return err_set(e, ERR_USAGE, "there are %u plugs already", v->limits.plugs);
}

static struct delivery *delivery_at(struct vnet *v, uint32_t i)
{
    return &v->deliveries[(v->first + i) % v->limits.deliveries];
}

static struct plug *plug_of(const struct vnet *v, unsigned number)
{
    assert(number < v->limits.plugs && v->plugs[number].network);
    return &v->plugs[number];
}

void vnet_remove_plug(struct vnet *v, unsigned number)
{
    struct plug *plug = plug_of(v, number);
    for (uint32_t i = 0; i < v->waiting; i++)
        if (delivery_at(v, i)->plug == plug)
            delivery_at(v, i)->plug = NULL;
    owners_forget(&v->owners, number);
    TAILQ_REMOVE(&plug->network->plugs, plug, same_network);
    plug->network = NULL;
}

static void pass_time(struct vnet *v, uint64_t now)
{
    if (now > v->now)
        v->now = now;
}

void vnet_input(struct vnet *v, uint64_t now, unsigned number, const uint8_t *frame, size_t n)
{
    struct plug *plug = plug_of(v, number);
    pass_time(v, now);
    plug->counters.frames_in++;
    plug->counters.bytes_in += n;
    struct packet p = {.v = v, .network = plug->network, .plug = plug};
    ethernet_input(&p, (struct bytes){frame, n});
}

void lab_deliver(struct vnet *v, struct plug *to, struct frame *f)
{
    if (v->waiting == v->limits.deliveries) {
        to->counters.drops[VNET_DROP_QUEUE_FULL]++;
        return;
    }
    f->refs++;
    *delivery_at(v, v->waiting++) = (struct delivery){v->now, to, f};
}

uint64_t vnet_next(const struct vnet *v)
{
    return v->waiting > 0 ? v->deliveries[v->first].due : VNET_NEVER;
}

void vnet_advance(struct vnet *v, uint64_t now)
{
    pass_time(v, now);
    while (v->waiting > 0 && v->deliveries[v->first].due <= v->now) {
        struct delivery d = *delivery_at(v, 0);
        v->first = (v->first + 1) % v->limits.deliveries;
        v->waiting--;
        if (d.plug) {
            d.plug->counters.frames_out++;
            d.plug->counters.bytes_out += d.frame->n;
            v->output(v->arg, (unsigned)(d.plug - v->plugs), d.frame->data, d.frame->n);
        }
        pool_release(&v->pool, d.frame);
    }
}

const struct vnet_counters *vnet_counters(const struct vnet *v, unsigned plug)
{
    return &plug_of(v, plug)->counters;
}
