// The verb `guest`: any of a guest's MAC, addresses, routes, names, DNS, clock, random numbers and
// a sync, in one request to its agent. What each argument may be is in docs/interfaces.md.
#include "host/guest.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/parse.h"
#include "host/names.h"

enum { LIMIT_MS = 30000, LIMIT_MAX_MS = 3600000, PREFIX_MAX = 64, JOINED_MAX = 8 };

struct order {
    struct host *host;
    struct request *rq;
    struct settings settings;
    struct host_nic *nic; // that addresses and routes are for; NULL: the VM has none
    struct mac mac;       // it shall have, or has
    struct mac before;    // that was wanted until then
    int64_t limit_ms;
};

static void order_free(struct order *o)
{
    settings_clear(&o->settings);
    free(o);
}

// --- values ---

static int bad(struct err *e, const char *key, const char *want)
{
    return err_set(e, ERR_USAGE, "\"%s\" is not %s", key, want);
}

// AF_INET or AF_INET6; 0: it is no address.
static int family_of(const char *text)
{
    unsigned char bytes[16];
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;
    return inet_pton(family, text, bytes) == 1 ? family : 0;
}

static int prefix_family(const char *text)
{
    char copy[PREFIX_MAX];
    uint64_t length;
    struct err ignored;
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy || !strchr(copy, '/'))
        return 0;
    char *slash = strchr(copy, '/');
    *slash = 0;
    int family = family_of(copy);
    return family && number_parse(slash + 1, "", 0, family == AF_INET ? 32 : 128, &length,
                                  &ignored) == 0
               ? family
               : 0;
}

static int need_nic(const struct order *o, struct err *e)
{
    return o->nic ? 0 : err_set(e, ERR_FAILED, "the VM has no such NIC");
}

static void add_of_nic(struct order *o, const char *key, const char *text)
{
    char mac[MAC_TEXT];
    mac_format(&o->mac, mac);
    settings_add(&o->settings, key, "%s %s", mac, text);
}

static int add_address(struct order *o, const char *text, struct err *e)
{
    if (!prefix_family(text))
        return err_set(e, ERR_USAGE, "address '%.60s' is not of the form 10.0.0.5/24 or fd00::5/64",
                       text);
    add_of_nic(o, "address", text);
    return need_nic(o, e);
}

// "10.2.0.0/16" or "10.2.0.0/16,10.0.0.1"
static int add_route(struct order *o, const char *text, struct err *e)
{
    AUTO_FREE char *to = xstrdup(text);
    char *via = strchr(to, ',');
    if (via)
        *via++ = 0;
    int family = prefix_family(to);
    if (!family || (via && family_of(via) != family))
        return err_set(e, ERR_USAGE,
                       "route '%.100s' is not of the form 10.2.0.0/16 or 10.2.0.0/16,10.0.0.1",
                       text);
    AUTO_FREE char *value = xasprintf("%s%s%s", to, via ? " " : "", via ? via : "");
    add_of_nic(o, "route", value);
    return need_nic(o, e);
}

static int add_gateway(struct order *o, const char *text, struct err *e)
{
    int family = family_of(text);
    if (!family)
        return err_set(e, ERR_USAGE, "gateway '%.60s' is not an IP address", text);
    AUTO_FREE char *value = xasprintf("%s %s", family == AF_INET ? "0.0.0.0/0" : "::/0", text);
    add_of_nic(o, "route", value);
    return need_nic(o, e);
}

static int check_server(const char *text, struct err *e)
{
    return family_of(text) ? 0
                           : err_set(e, ERR_USAGE, "DNS server '%.60s' is not an IP address", text);
}

// --- arguments ---

static int each(struct order *o, const char *key, const json_t *list,
                int (*add)(struct order *o, const char *text, struct err *e), struct err *e)
{
    size_t i;
    json_t *one;
    if (list && !json_is_array(list))
        return bad(e, key, "a list");
    json_array_foreach(list, i, one) {
        if (o->settings.count > SETTINGS_MAX / 2)
            return err_set(e, ERR_USAGE, "too much at once");
        if (!json_is_string(one))
            return bad(e, key, "a list of strings");
        if (add(o, json_string_value(one), e) < 0)
            return -1;
    }
    return 0;
}

// One item of all texts, with blanks between them.
static int joined(struct order *o, const char *key, const json_t *list, const char *item,
                  int (*check)(const char *text, struct err *e), struct err *e)
{
    AUTO_FREE char *all = xstrdup("");
    size_t i;
    json_t *one;
    if (list && (!json_is_array(list) || json_array_size(list) > JOINED_MAX))
        return bad(e, key, "a list of at most eight");
    json_array_foreach(list, i, one) {
        if (!json_is_string(one))
            return bad(e, key, "a list of strings");
        if (check(json_string_value(one), e) < 0)
            return -1;
        AUTO_FREE char *before = all;
        all = xasprintf("%s%s%s", before, i ? " " : "", json_string_value(one));
    }
    if (*all)
        settings_add(&o->settings, item, "%s", all);
    return 0;
}

static int add_names(struct order *o, const json_t *args, struct err *e)
{
    const json_t *hostname = json_object_get(args, "hostname");
    const json_t *machine_id = json_object_get(args, "machine_id");
    char id[MACHINE_ID_TEXT];
    if (hostname && !json_is_string(hostname))
        return bad(e, "hostname", "a string");
    if (hostname && hostname_check(json_string_value(hostname), e) < 0)
        return -1;
    if (hostname)
        settings_add(&o->settings, "hostname", "%s", json_string_value(hostname));
    if (machine_id && !json_is_string(machine_id))
        return bad(e, "machine_id", "a string");
    if (machine_id && machine_id_parse(json_string_value(machine_id), id, e) < 0)
        return -1;
    if (machine_id)
        settings_add(&o->settings, "machine-id", "%s", id);
    return 0;
}

static int find_nic(struct order *o, const json_t *args, struct err *e)
{
    const json_t *which = json_object_get(args, "nic");
    const char *role = json_string_value(which);
    if (which && (!role || !choice_valid("socket|nat", role)))
        return bad(e, "nic", "\"socket\" or \"nat\"");
    o->nic = macs_nic(o->host, role);
    if (o->nic)
        o->mac = o->nic->actual;
    return 0;
}

static int add_mac(struct order *o, const json_t *args, struct err *e)
{
    const json_t *mac = json_object_get(args, "mac");
    char from[MAC_TEXT];
    char to[MAC_TEXT];
    if (!mac)
        return 0;
    if (!json_is_string(mac))
        return bad(e, "mac", "a string");
    if (need_nic(o, e) < 0 || mac_parse(json_string_value(mac), &o->mac, e) < 0 ||
        macs_check(o->host, o->nic, &o->mac, e) < 0)
        return -1;
    mac_format(&o->nic->actual, from);
    mac_format(&o->mac, to);
    settings_add(&o->settings, "mac", "%s %s", from, to);
    return 0;
}

static int add_rest(struct order *o, const json_t *args, struct err *e)
{
    const json_t *limit = json_object_get(args, "timeout");
    if (limit && (!json_is_integer(limit) || json_integer_value(limit) < 1 ||
                  json_integer_value(limit) > LIMIT_MAX_MS))
        return bad(e, "timeout", "milliseconds");
    o->limit_ms = limit ? json_integer_value(limit) : LIMIT_MS;
    if (json_is_true(json_object_get(args, "reseed")))
        settings_add_entropy(&o->settings);
    if (json_is_true(json_object_get(args, "sync")))
        settings_add(&o->settings, "sync", "1");
    if (json_is_true(json_object_get(args, "clock")))
        settings_add_clock(&o->settings);
    return o->settings.count > 0 ? 0 : err_set(e, ERR_USAGE, "nothing is to be set");
}

static int read_order(struct order *o, const json_t *args, struct err *e)
{
#define LIST(key) key, json_object_get(args, key)
    if (find_nic(o, args, e) < 0 || add_mac(o, args, e) < 0 ||
        each(o, LIST("addresses"), add_address, e) < 0 ||
        each(o, LIST("routes"), add_route, e) < 0 || each(o, LIST("gateways"), add_gateway, e) < 0)
        return -1;
    if (add_names(o, args, e) < 0 || joined(o, LIST("dns"), "dns", check_server, e) < 0 ||
        joined(o, LIST("search"), "search", hostname_check, e) < 0)
        return -1;
#undef LIST
    return add_rest(o, args, e);
}

// --- the answer ---

// Others have no say in what an order for a MAC, or a reboot, does meanwhile.
static bool orders_mac(const struct order *o)
{
    return settings_find(&o->settings, "mac") != NULL;
}

static void on_answer(void *arg, const struct err *why)
{
    struct order *o = arg;
    if (orders_mac(o))
        macs_given(o->host, o->nic, &o->before, why ? NULL : &o->settings);
    if (why) {
        request_error(o->rq, why);
    } else {
        settings_log(&o->settings);
        request_ok(o->rq, json_pack("{s:o}", "items", settings_report(&o->settings)));
    }
    order_free(o);
}

void guest_set(struct host *h, struct request *rq, const json_t *args)
{
    struct err e;
    struct order *o = xcalloc(1, sizeof *o);
    o->host = h;
    o->rq = rq;
    if (read_order(o, args, &e) < 0 || agent_check_set(h->agent, &e) < 0) {
        request_error(rq, &e);
        order_free(o);
        return;
    }
    if (orders_mac(o)) {
        o->before = o->nic->mac;
        macs_give(h, o->nic, &o->mac);
    }
    agent_set(h->agent, &o->settings, (int)o->limit_ms, on_answer, o);
}
