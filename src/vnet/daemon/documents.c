// Documents of JSON.
#include "vnet/daemon/documents.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "vnet/capture/capture.h"
#include "vnet/daemon/daemon.h"
#include "vnet/daemon/egress.h"
#include "vnet/daemon/inlets.h"

#define NS 1000000000

enum { ADDRESS_TEXT = INET6_ADDRSTRLEN + 4, MACS_MAX = 64 };

static const char *network_name(const struct daemon *d, unsigned network)
{
    return d->lab->networks[network].entry.name;
}

static int64_t seconds_since(uint64_t ns)
{
    return (int64_t)((clock_ns() - ns) / NS);
}

// A file's path, which may be of any bytes, for those who are elsewhere; NULL is null.
static json_t *path_document(const char *path)
{
    if (!path)
        return json_null();
    AUTO_FREE char *here = *path == '/' ? NULL : getcwd(NULL, 0);
    AUTO_FREE char *shown = here ? xasprintf("%s/%s", here, path) : xstrdup(path);
    text_clean(shown);
    return json_string(shown);
}

// --- networks ---

// "192.168.0.1/24"; null where there is none. A prefix of 0 is not shown.
static json_t *address4(uint32_t address, unsigned prefix)
{
    char text[ADDRESS_TEXT];
    char rest[8] = "";
    const struct in_addr a = {htonl(address)};
    if (!address)
        return json_null();
    if (prefix)
        snprintf(rest, sizeof rest, "/%u", prefix);
    inet_ntop(AF_INET, &a, text, sizeof text);
    return json_sprintf("%s%s", text, rest);
}

static json_t *address6(const struct ip6 *address, unsigned prefix)
{
    char text[ADDRESS_TEXT];
    char rest[8];
    if (!prefix)
        return json_null();
    snprintf(rest, sizeof rest, "/%u", prefix);
    inet_ntop(AF_INET6, address->octet, text, sizeof text);
    return json_sprintf("%s%s", text, rest);
}

static const char *nat_name(enum vnet_nat nat)
{
    return nat == VNET_NAT_NONE ? "none" : "easy";
}

static json_t *network_document(const struct daemon *d, unsigned network)
{
    const struct vnet_network *n = &d->lab->networks[network].is;
    int plugs = 0;
    for (unsigned i = 0; i < d->limits.plugs; i++)
        plugs += d->ports[i] && d->ports[i]->place.network == network;
    return json_pack("{s:s, s:o, s:o, s:o, s:s, s:s?, s:i, s:i}", "name", n->name, "lan",
                     address4(n->router, n->prefix), "lan6", address6(&n->router6, n->prefix6),
                     "wan", address4(n->wan, 0), "nat", nat_name(n->nat), "domain", n->domain,
                     "mtu", n->mtu, "plugs", plugs);
}

static json_t *capture_document(const struct daemon *d)
{
    struct capture_stats s;
    if (!d->capture)
        return json_null();
    capture_get_stats(d->capture, &s);
    return json_pack("{s:o, s:I, s:I, s:I, s:s?}", "path", path_document(s.path), "packets",
                     (json_int_t)s.packets, "bytes", (json_int_t)s.bytes, "lost",
                     (json_int_t)s.lost, "error", s.error);
}

json_t *status_document(const struct daemon *d)
{
    json_t *networks = json_array();
    for (unsigned i = 0; i < d->lab->network_count; i++)
        json_array_append_new(networks, network_document(d, i));
    return json_pack("{s:i, s:s, s:I, s:s, s:s?, s:s, s:o, s:I, s:o, s:i, s:o, s:o, s:o, s:o}",
                     "pid", (int)getpid(), "version", TAILMAC_VERSION, "uptime",
                     (json_int_t)seconds_since(d->started), "listen", d->options->listen,
                     "listen_stream", d->options->listen_stream, "control", d->options->control,
                     "lab", path_document(d->options->lab), "seed", (json_int_t)d->lab->seed,
                     "networks", networks, "plugs", (int)d->port_count, "capture",
                     capture_document(d), "egress", egress_document(d), "forwards",
                     inlets_document(d), "lateness", lateness_document(&d->lateness));
}

// --- links ---

static json_t *link_document(const struct daemon *d, unsigned plug, enum vnet_direction direction)
{
    const struct vnet_link *l = vnet_link(d->v, plug, direction);
    return json_pack("{s:I, s:i, s:b}", "delay_ns", (json_int_t)l->delay, "queue", (int)l->queue,
                     "down", l->down);
}

static json_t *macs_document(const struct daemon *d, unsigned plug)
{
    struct mac macs[MACS_MAX];
    char text[MAC_TEXT];
    json_t *all = json_array();
    unsigned n = vnet_macs(d->v, plug, macs, MACS_MAX);
    for (unsigned i = 0; i < n && i < MACS_MAX; i++) {
        mac_format(&macs[i], text);
        json_array_append_new(all, json_string(text));
    }
    return all;
}

json_t *links_document(const struct daemon *d)
{
    json_t *links = json_array();
    for (unsigned i = 0; i < d->limits.plugs; i++) {
        const struct port *p = d->ports[i];
        if (!p)
            continue;
        json_array_append_new(
            links,
            json_pack("{s:i, s:s, s:s, s:s, s:s, s:o, s:i, s:I, s:o, s:o}", "plug", (int)i, "name",
                      p->place.name, "network", network_name(d, p->place.network), "kind",
                      p->ops->kind, "peer", p->peer, "macs", macs_document(d, i), "queued",
                      (int)p->queue.count, "since", (json_int_t)seconds_since(p->since), "up",
                      link_document(d, i, VNET_UP), "down", link_document(d, i, VNET_DOWN)));
    }
    return json_pack("{s:o}", "links", links);
}

// --- leases ---

json_t *lease_document(const struct daemon *d, unsigned network, const struct vnet_lease *l)
{
    char mac[MAC_TEXT];
    char id[2 * VNET_CLIENT_ID_MAX + 1] = "";
    uint64_t now = clock_ns();
    mac_format(&l->mac, mac);
    for (unsigned i = 0; i < l->id_length; i++)
        snprintf(id + 2 * (size_t)i, 3, "%02x", l->id[i]);
    json_int_t left = l->until >= now ? (json_int_t)((l->until - now) / NS)
                                      : -(json_int_t)((now - l->until) / NS);
    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:I}", "network", network_name(d, network),
                     "address", address4(l->address, 0), "mac", mac, "host", l->host, "id", id,
                     "expires_in", left);
}

json_t *leases_document(const struct daemon *d)
{
    json_t *leases = json_array();
    struct vnet_lease l;
    for (unsigned network = 0; network < d->lab->network_count; network++)
        for (unsigned i = 0; i < d->limits.leases; i++)
            if (vnet_lease(d->v, network, i, &l))
                json_array_append_new(leases, lease_document(d, network, &l));
    return json_pack("{s:o}", "leases", leases);
}

// --- counters ---

static void add_count(json_t *doc, const char *name, uint64_t count)
{
    if (count)
        json_object_set_new(doc, name, json_integer((json_int_t)count));
}

// Adds what the lab counted; "drops" gets the reasons that happened.
static void add_counters(json_t *doc, const struct vnet_counters *c)
{
    json_t *drops = json_object();
    for (unsigned i = 0; i < VNET_DROP_COUNT; i++)
        add_count(drops, vnet_drop_name(i), c->drops[i]);
    json_object_set_new(doc, "frames_in", json_integer((json_int_t)c->frames_in));
    json_object_set_new(doc, "bytes_in", json_integer((json_int_t)c->bytes_in));
    json_object_set_new(doc, "frames_out", json_integer((json_int_t)c->frames_out));
    json_object_set_new(doc, "bytes_out", json_integer((json_int_t)c->bytes_out));
    json_object_set_new(doc, "drops", drops);
}

static json_t *port_counters(const struct daemon *d, const struct port *p)
{
    json_t *doc = json_pack("{s:i, s:s, s:s}", "plug", (int)p->plug, "name", p->place.name,
                            "network", network_name(d, p->place.network));
    add_counters(doc, vnet_counters(d->v, p->plug));
    add_count(json_object_get(doc, "drops"), "slow-client", p->slow);
    add_count(json_object_get(doc, "drops"), "unsent", p->unsent);
    return doc;
}

json_t *counters_document(const struct daemon *d)
{
    json_t *plugs = json_array();
    json_t *networks = json_array();
    for (unsigned i = 0; i < d->limits.plugs; i++)
        if (d->ports[i])
            json_array_append_new(plugs, port_counters(d, d->ports[i]));
    for (unsigned i = 0; i < d->lab->network_count; i++) {
        json_t *doc = json_pack("{s:s}", "name", network_name(d, i));
        add_counters(doc, vnet_network_counters(d->v, i));
        add_count(doc, "nat_evicted", vnet_network_counters(d->v, i)->nat_evicted);
        json_array_append_new(networks, doc);
    }
    json_t *egress = json_object();
    add_counters(egress, vnet_egress_counters(d->v));
    return json_pack("{s:o, s:o, s:o, s:{s:o}}", "plugs", plugs, "networks", networks, "egress",
                     egress, "daemon", "refused", refusals_document(&d->refusals));
}
