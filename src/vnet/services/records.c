// The DNS records that a lab's owner adds.
#include "vnet/services/nodes.h"

enum { TEXT_MAX = 255 }; // RFC 1035, 3.3

struct data {
    size_t n;
    uint8_t at[1 + TEXT_MAX];
};

static int make_a(const struct vnet_record *r, struct data *out, struct err *e)
{
    if (!r->a)
        return err_set(e, ERR_USAGE, "an A record has an address");
    for (; out->n < 4; out->n++)
        out->at[out->n] = (uint8_t)(r->a >> 8 * (3 - out->n));
    return 0;
}

static int make_aaaa(const struct vnet_record *r, struct data *out, struct err *e)
{
    const struct ip6 none = {{0}};
    if (ip6_equal(&r->aaaa, &none))
        return err_set(e, ERR_USAGE, "an AAAA record has an address");
    out->n = sizeof r->aaaa;
    memcpy(out->at, &r->aaaa, out->n);
    return 0;
}

static int make_cname(const struct vnet_record *r, struct data *out, struct err *e)
{
    struct name target;
    if (!r->text)
        return err_set(e, ERR_USAGE, "a CNAME record has a name");
    if (name_parse(r->text, &target, e) < 0)
        return -1;
    out->n = target.n;
    memcpy(out->at, target.at, out->n);
    return 0;
}

static int make_txt(const struct vnet_record *r, struct data *out, struct err *e)
{
    size_t n = r->text ? strlen(r->text) : TEXT_MAX + 1;
    if (n > TEXT_MAX)
        return err_set(e, ERR_USAGE, "a TXT record has a text of up to %d bytes", TEXT_MAX);
    out->at[0] = (uint8_t)n;
    memcpy(out->at + 1, r->text, n);
    out->n = 1 + n;
    return 0;
}

static const struct {
    enum rr_type type;
    bool has_pointer;
    bool beside_node; // a node's name may have it too
    int (*make)(const struct vnet_record *r, struct data *out, struct err *e);
} kinds[] = {
    [VNET_A] = {RR_A, true, false, make_a},
    [VNET_AAAA] = {RR_AAAA, true, true, make_aaaa},
    [VNET_CNAME] = {RR_CNAME, false, false, make_cname},
    [VNET_TXT] = {RR_TXT, false, true, make_txt},
};

static bool is_nodes(const struct vnet *v, int network, const struct name *name)
{
    for (unsigned i = 0; i < v->network_count; i++) {
        const struct lease *one = nodes_by_name(v, i, name);
        if ((network == VNET_EVERYWHERE || network == (int)i) && one && one->node)
            return true;
    }
    return false;
}

int vnet_add_record(struct vnet *v, const struct vnet_record *r, struct err *e)
{
    struct name name;
    struct data data = {0};
    if (r->network != VNET_EVERYWHERE &&
        (r->network < 0 || (unsigned)r->network >= v->network_count))
        return err_set(e, ERR_USAGE, "there is no network %d", r->network);
    if ((unsigned)r->type >= sizeof kinds / sizeof *kinds)
        return err_set(e, ERR_USAGE, "there is no record type %d", (int)r->type);
    if (name_parse(r->name, &name, e) < 0 || kinds[r->type].make(r, &data, e) < 0)
        return -1;
    if (!kinds[r->type].beside_node && is_nodes(v, r->network, &name))
        return err_set(e, ERR_EXISTS, "a node has the name \"%s\"", r->name);
    return names_add(&v->names, r->network, &name, kinds[r->type].type,
                     (struct bytes){data.at, data.n}, kinds[r->type].has_pointer, e);
}
