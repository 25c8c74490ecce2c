// From the file's lab to the core's.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "vnet/labfile/check.h"
#include "vnet/labfile/labfile.h"
#include "vnet/labfile/tree.h"

// Where the core refused something, and why.
static int refused(const struct labfile *lab, struct labfile_position at, const char *name,
                   struct err *e)
{
    AUTO_FREE char *why = xstrdup(e->msg);
    return tree_err(e, lab->file, at, "%s: %s", name, why);
}

static int add_networks(const struct labfile *lab, struct vnet *v, struct err *e)
{
    for (unsigned i = 0; i < lab->network_count; i++) {
        const struct labfile_network *n = &lab->networks[i];
        if (vnet_add_network(v, &n->is, e) < 0)
            return refused(lab, n->entry.at, n->entry.name, e);
        vnet_set_dns_fault(v, i, n->dns_fault);
    }
    return 0;
}

static int add_nodes(const struct labfile *lab, struct vnet *v, struct err *e)
{
    for (unsigned i = 0; i < lab->node_count; i++)
        if (vnet_add_node(v, &lab->nodes[i].is, e) < 0)
            return refused(lab, lab->nodes[i].entry.at, lab->nodes[i].entry.name, e);
    return 0;
}

static int add_addresses(struct vnet *v, int network, const struct labfile_name *name,
                         struct err *e)
{
    struct vnet_record r = {.network = network, .name = name->entry.name};
    for (unsigned i = 0; i < name->address_count; i++) {
        const struct labfile_address *a = &name->addresses[i];
        r.type = a->is6 ? VNET_AAAA : VNET_A;
        r.a = a->v4;
        r.aaaa = a->v6;
        if (vnet_add_record(v, &r, e) < 0)
            return -1;
    }
    return 0;
}

static int add_texts(struct vnet *v, int network, const struct labfile_name *name, struct err *e)
{
    struct vnet_record r = {.network = network, .name = name->entry.name, .type = VNET_CNAME};
    r.text = name->cname;
    if (r.text && vnet_add_record(v, &r, e) < 0)
        return -1;
    r.type = VNET_TXT;
    for (unsigned i = 0; i < name->text_count; i++) {
        r.text = name->texts[i];
        if (vnet_add_record(v, &r, e) < 0)
            return -1;
    }
    return 0;
}

static int add_names(const struct labfile *lab, struct vnet *v, int network,
                     const struct labfile_name *names, unsigned count, struct err *e)
{
    for (unsigned i = 0; i < count; i++)
        if (add_addresses(v, network, &names[i], e) < 0 || add_texts(v, network, &names[i], e) < 0)
            return refused(lab, names[i].entry.at, names[i].entry.name, e);
    return 0;
}

static int add_all_names(const struct labfile *lab, struct vnet *v, struct err *e)
{
    for (unsigned i = 0; i < lab->network_count; i++)
        if (add_names(lab, v, (int)i, lab->networks[i].names, lab->networks[i].name_count, e) < 0)
            return -1;
    return add_names(lab, v, VNET_EVERYWHERE, lab->names, lab->name_count, e);
}

static int compare_addresses(const void *x, const void *y)
{
    const struct labfile_address *a = *(const struct labfile_address *const *)x;
    const struct labfile_address *b = *(const struct labfile_address *const *)y;
    if (a->is6 != b->is6)
        return a->is6 - b->is6;
    if (a->is6)
        return memcmp(&a->v6, &b->v6, sizeof a->v6);
    return (a->v4 > b->v4) - (a->v4 < b->v4);
}

// All addresses of the internet, sorted; the caller frees.
static const struct labfile_address **internet(const struct labfile *lab, size_t *count)
{
    size_t most = lab->host_count;
    for (unsigned i = 0; i < lab->name_count; i++)
        most += lab->names[i].address_count;
    const struct labfile_address **all = xcalloc(most + 1, sizeof *all);
    size_t n = 0;
    for (unsigned i = 0; i < lab->host_count; i++)
        all[n++] = &lab->hosts[i];
    for (unsigned i = 0; i < lab->name_count; i++)
        for (unsigned j = 0; j < lab->names[i].address_count; j++)
            if (!check_is_ours(lab, &lab->names[i].addresses[j]))
                all[n++] = &lab->names[i].addresses[j];
    qsort(all, n, sizeof *all, compare_addresses);
    *count = n;
    return all;
}

static int add_hosts(const struct labfile *lab, struct vnet *v, struct err *e)
{
    size_t n;
    AUTO_FREE const struct labfile_address **all = internet(lab, &n);
    for (size_t i = 0; i < n; i++) {
        const struct labfile_address *a = all[i];
        if (i > 0 && compare_addresses(&all[i - 1], &all[i]) == 0)
            continue; // two names of one host
        if (vnet_add_host(v, a->is6 ? 0 : a->v4, a->is6 ? &a->v6 : NULL, e) < 0)
            return refused(lab, a->at, "internet", e);
    }
    return 0;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

// Room for every node at once, and for as many clients that the lab does not know.
struct vnet_limits labfile_limits(const struct labfile *lab)
{
    struct vnet_limits l = vnet_default_limits;
    l.networks = larger(l.networks, lab->network_count);
    l.plugs = larger(l.plugs, 2 * lab->node_count);
    l.leases = larger(l.leases, 2 * lab->node_count);
    l.neighbours = larger(l.neighbours, 2 * lab->node_count);
    return l;
}

static int add_way_out(const struct labfile *lab, struct vnet *v, struct err *e)
{
    const struct vnet_egress egress = {.open = lab->egress == LABFILE_EGRESS_HOST,
                                       .resolves = lab->egress == LABFILE_EGRESS_HOST,
                                       .mtu = labfile_egress_mtu(lab)};
    vnet_set_egress(v, &egress);
    for (unsigned i = 0; i < lab->forward_count; i++) {
        const struct labfile_forward *f = &lab->forwards[i];
        if (vnet_add_service(v, f->is.protocol, f->is.address, f->is.port, e) < 0)
            return refused(lab, f->entry.at, f->entry.name, e);
    }
    return 0;
}

int labfile_build(const struct labfile *lab, struct vnet *v, struct err *e)
{
    if (add_networks(lab, v, e) < 0 || add_nodes(lab, v, e) < 0 || add_all_names(lab, v, e) < 0)
        return -1;
    return add_hosts(lab, v, e) < 0 ? -1 : add_way_out(lab, v, e);
}

static void no_output(void *arg, unsigned plug, struct frame *f)
{
}

int labfile_try(const struct labfile *lab, struct err *e)
{
    const struct vnet_limits limits = labfile_limits(lab);
    struct vnet *v = vnet_new(&limits, lab->seed, &(struct vnet_owner){no_output});
    int done = labfile_build(lab, v, e);
    vnet_free(v);
    return done;
}
