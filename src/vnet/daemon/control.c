// What may be asked of a running daemon.
#include "vnet/daemon/control.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vnet/daemon/daemon.h"
#include "vnet/daemon/documents.h"
#include "vnet/daemon/inlets.h"
#include "vnet/daemon/private.h"
#include "vnet/daemon/stream.h"
#include "vnet/daemon/tap.h"

// --- arguments ---

// A string; NULL where there is none. -1 with *e where it is something else, or missing.
static int text_arg(const json_t *args, const char *key, bool required, const char **out,
                    struct err *e)
{
    const json_t *value = json_object_get(args, key);
    *out = json_string_value(value);
    if ((value && !*out) || (required && !*out))
        return err_set(e, ERR_USAGE, "\"%s\" is not a string", key);
    return 0;
}

static struct port *plug_arg(const struct daemon *d, const json_t *args, struct err *e)
{
    const json_t *value = json_object_get(args, "plug");
    json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;
    struct port *p = n < 0 || n >= d->limits.plugs ? NULL : d->ports[n];
    if (!p)
        err_set(e, ERR_USAGE, "\"plug\" is not the number of a plug");
    return p;
}

// --- looking ---

static void verb_status(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    request_ok(rq, status_document(arg));
}

static void verb_links(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    request_ok(rq, links_document(arg));
}

static void verb_leases(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    request_ok(rq, leases_document(arg));
}

static void verb_counters(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    request_ok(rq, counters_document(arg));
}

// --- plugs ---

static struct port *plug_private(struct daemon *d, const json_t *args, const struct place *place,
                                 int fd, struct err *e)
{
    const char *path;
    if (text_arg(args, "path", true, &path, e) < 0)
        return NULL;
    AUTO_FREE char *address = private_path(d->options->listen, ++d->private_count);
    return private_open(d, address, path, place, e);
}

static int need_fd(int fd, struct err *e)
{
    return fd < 0 ? err_set(e, ERR_USAGE, "no descriptor came with the request") : 0;
}

static struct port *plug_stream(struct daemon *d, const json_t *args, const struct place *place,
                                int fd, struct err *e)
{
    const char *path;
    if (text_arg(args, "path", true, &path, e) < 0 || need_fd(fd, e) < 0)
        return NULL;
    return stream_attach(d, path, fd, place, e);
}

static struct port *plug_tap(struct daemon *d, const json_t *args, const struct place *place,
                             int fd, struct err *e)
{
    return need_fd(fd, e) < 0 ? NULL : tap_attach(d, fd, place, e);
}

// Takes the descriptor on success.
static const struct plug_kind {
    const char *name;
    struct port *(*open)(struct daemon *d, const json_t *args, const struct place *place, int fd,
                         struct err *e);
    bool takes_fd;
} plug_kinds[] = {
    {"private", plug_private, false},
    {"stream", plug_stream, true},
    {"tap", plug_tap, true},
};

static const struct plug_kind *kind_arg(const json_t *args, struct err *e)
{
    const char *name;
    if (text_arg(args, "kind", true, &name, e) < 0)
        return NULL;
    for (size_t i = 0; i < sizeof plug_kinds / sizeof *plug_kinds; i++)
        if (strcmp(plug_kinds[i].name, name) == 0)
            return &plug_kinds[i];
    err_set(e, ERR_USAGE, "unknown kind '%.80s' (private, stream, tap)", name);
    return NULL;
}

static int place_arg(const struct daemon *d, const json_t *args, struct place *out, struct err *e)
{
    struct identity who = {0};
    const char *text;
    struct mac mac;
    if (text_arg(args, "mac", false, &text, e) < 0 ||
        text_arg(args, "name", false, &who.name, e) < 0 ||
        text_arg(args, "network", false, &who.network, e) < 0)
        return -1;
    if (text && mac_parse(text, &mac, e) < 0)
        return -1;
    who.mac = text ? &mac : NULL;
    return place_find(d, &who, out, e);
}

static struct port *open_plug(struct daemon *d, const json_t *args, struct place *place, int *fd,
                              struct err *e)
{
    const struct plug_kind *kind = kind_arg(args, e);
    if (!kind || place_arg(d, args, place, e) < 0)
        return NULL;
    struct port *p = kind->open(d, args, place, *fd, e);
    if (p && kind->takes_fd)
        *fd = -1;
    return p;
}

static void verb_plug(void *arg, struct request *rq, const json_t *args)
{
    struct daemon *d = arg;
    struct place place;
    struct err e;
    AUTO_CLOSE int fd = request_take_fd(rq);
    struct port *p = open_plug(d, args, &place, &fd, &e);
    if (!p) {
        request_error(rq, &e);
        return;
    }
    const struct vnet_network *network = &d->lab->networks[p->place.network].is;
    p->owner = request_client(rq);
    request_ok(rq, json_pack("{s:i, s:s, s:i, s:s*}", "plug", (int)p->plug, "network",
                             network->name, "mtu", network->mtu, "address", private_address(p)));
}

static void verb_connected(void *arg, struct request *rq, const json_t *args)
{
    struct err e;
    struct port *p = plug_arg(arg, args, &e);
    if (!p || private_connect(p, &e) < 0)
        request_error(rq, &e);
    else
        request_ok(rq, NULL);
}

static void verb_unplug(void *arg, struct request *rq, const json_t *args)
{
    struct err e;
    struct port *p = plug_arg(arg, args, &e);
    if (!p) {
        request_error(rq, &e);
        return;
    }
    port_gone(p, "unplugged");
    request_ok(rq, NULL);
}

void control_client_ended(void *arg, uint64_t client)
{
    const struct daemon *d = arg;
    for (unsigned i = 0; i < d->limits.plugs; i++)
        if (d->ports[i] && d->ports[i]->owner == client)
            port_gone(d->ports[i], "its control connection has ended");
}

// --- the lab ---

static int unknown_fault(const char *name, struct err *e)
{
    char right[128];
    size_t n = 0;
    for (int i = 0; i < VNET_DNS_FAULT_COUNT && n < sizeof right; i++)
        n += (size_t)snprintf(right + n, sizeof right - n, "%s%s", i ? ", " : "",
                              vnet_dns_fault_name((enum vnet_dns_fault)i));
    return err_set(e, ERR_USAGE, "unknown DNS fault '%.80s' (%s)", name, right);
}

static int fault_arg(const json_t *args, struct err *e)
{
    const char *name;
    if (text_arg(args, "fault", true, &name, e) < 0)
        return -1;
    for (int i = 0; i < VNET_DNS_FAULT_COUNT; i++)
        if (strcmp(vnet_dns_fault_name((enum vnet_dns_fault)i), name) == 0)
            return i;
    return unknown_fault(name, e);
}

static void verb_dns(void *arg, struct request *rq, const json_t *args)
{
    struct daemon *d = arg;
    struct err e;
    const char *name;
    int network = -1;
    if (text_arg(args, "network", true, &name, &e) == 0)
        network = place_network(d, name, &e);
    int fault = network < 0 ? -1 : fault_arg(args, &e);
    if (fault < 0) {
        request_error(rq, &e);
        return;
    }
    vnet_set_dns_fault(d->v, (unsigned)network, (enum vnet_dns_fault)fault);
    request_ok(rq, NULL);
}

static int change_inlets(struct daemon *d, const json_t *args, struct err *e)
{
    const char *listen;
    const char *to;
    if (text_arg(args, "listen", false, &listen, e) < 0 || text_arg(args, "to", false, &to, e) < 0)
        return -1;
    bool removes = json_is_true(json_object_get(args, "remove"));
    if (!listen)
        return to || removes ? err_set(e, ERR_USAGE, "\"listen\" is missing") : 0;
    if (!to == !removes)
        return err_set(e, ERR_USAGE, "beside \"listen\" there is either \"to\" or \"remove\"");
    return removes ? inlets_remove(d, listen, e) : inlets_add(d, listen, to, e);
}

static void verb_forward(void *arg, struct request *rq, const json_t *args)
{
    struct err e;
    if (change_inlets(arg, args, &e) < 0)
        request_error(rq, &e);
    else
        request_ok(rq, json_pack("{s:o}", "forwards", inlets_document(arg)));
}

static void verb_shutdown(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    struct daemon *d = arg;
    d->ending = true;
    request_ok(rq, NULL);
}

const struct verb vnet_verbs[] = {
    {"status", verb_status},
    {"links", verb_links},
    {"leases", verb_leases},
    {"counters", verb_counters},
    {"plug", verb_plug},
    {"connected", verb_connected},
    {"unplug", verb_unplug},
    {"dns", verb_dns},
    {"forward", verb_forward},
    {"shutdown", verb_shutdown},
    {0},
};
