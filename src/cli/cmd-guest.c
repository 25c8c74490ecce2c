// `tailmac guest`: sets what the guest is called, its addresses, its clock and the like, by its
// agent.
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/live.h"

struct guest_args {
    const char *hostname, *machine_id, *nic, *mac;
    struct texts addresses, routes, gateways, dns, search;
    bool reseed, clock, sync;
    int64_t timeout;
};

static const struct opt opts[] = {
    {"hostname", OPT_TEXT, offsetof(struct guest_args, hostname), "NAME", "what it is called", NULL,
     0},
    {"machine-id", OPT_TEXT, offsetof(struct guest_args, machine_id), "ID",
     "its machine-id: 32 hexadecimal digits, or 'new'", NULL, 0},
    {"nic", OPT_TEXT, offsetof(struct guest_args, nic), "WHICH",
     "the NIC with 'mac' or the one with 'ethermac' (default: that one, or the other)", "mac|nat",
     0},
    {"mac", OPT_TEXT, offsetof(struct guest_args, mac), "MAC", "that NIC's, for this run", NULL, 0},
    {"address", OPT_TEXTS, offsetof(struct guest_args, addresses), "A/P",
     "that NIC's, instead of others of its family; may be repeated", NULL, 0},
    {"route", OPT_TEXTS, offsetof(struct guest_args, routes), "A/P[,VIA]",
     "a route by that NIC; may be repeated", NULL, 0},
    {"gateway", OPT_TEXTS, offsetof(struct guest_args, gateways), "A",
     "the default route, by that NIC; once for IPv4 and for IPv6", NULL, 0},
    {"dns", OPT_TEXTS, offsetof(struct guest_args, dns), "A",
     "a DNS server, instead of those it has; may be repeated", NULL, 0},
    {"dns-search", OPT_TEXTS, offsetof(struct guest_args, search), "DOMAIN",
     "a domain to look names up in; may be repeated", NULL, 0},
    {"clock", OPT_FLAG, offsetof(struct guest_args, clock), NULL, "its clock, to this host's", NULL,
     0},
    {"reseed", OPT_FLAG, offsetof(struct guest_args, reseed), NULL,
     "its random numbers, from this host's", NULL, 0},
    {"sync", OPT_FLAG, offsetof(struct guest_args, sync), NULL,
     "write its file systems to the disk, last of all", NULL, 0},
    {"timeout", OPT_DURATION, offsetof(struct guest_args, timeout), "S",
     "give up after this long, and end with 7 (default 30)", NULL, 0},
    {0},
};

enum { DEFAULT_MS = 30000, GRACE_MS = 5000 };

static json_t *list_of(const struct texts *texts)
{
    json_t *list = texts->count > 0 ? json_array() : NULL;
    for (int i = 0; i < texts->count; i++)
        json_array_append_new(list, json_string(texts->text[i]));
    return list;
}

// What is not given is left out.
static json_t *order(const struct guest_args *a, int64_t limit)
{
    const char *role = !a->nic ? NULL : strcmp(a->nic, "nat") == 0 ? "nat" : "socket";
    return json_pack("{s:s*, s:s*, s:s*, s:s*, s:o*, s:o*, s:o*, s:o*, s:o*, s:b, s:b, s:b, s:I}",
                     "hostname", a->hostname, "machine_id", a->machine_id, "nic", role, "mac",
                     a->mac, "addresses", list_of(&a->addresses), "routes", list_of(&a->routes),
                     "gateways", list_of(&a->gateways), "dns", list_of(&a->dns), "search",
                     list_of(&a->search), "clock", a->clock, "reseed", a->reseed, "sync", a->sync,
                     "timeout", (json_int_t)limit);
}

static bool is_nothing(const struct guest_args *a)
{
    return !a->hostname && !a->machine_id && !a->mac && !a->clock && !a->reseed && !a->sync &&
           a->addresses.count + a->routes.count + a->gateways.count + a->dns.count +
                   a->search.count ==
               0;
}

static int failures(const json_t *doc)
{
    size_t i;
    json_t *item;
    int n = 0;
    json_array_foreach(json_object_get(doc, "items"), i, item) {
        n += !json_is_true(json_object_get(item, "done"));
    }
    return n;
}

static void print_items(const json_t *doc)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(doc, "items"), i, item) {
        printf("%-10s  %s%s\n", json_string_value(json_object_get(item, "item")),
               json_is_true(json_object_get(item, "done")) ? "" : "failed: ",
               json_string_value(json_object_get(item, "detail")));
    }
}

static int run_guest(struct cli *cli, void *args_, struct err *e)
{
    const struct guest_args *args = args_;
    int64_t deadline = clock_ms() + (args->timeout < 0 ? DEFAULT_MS : args->timeout);
    if (is_nothing(args))
        return err_set(e, ERR_USAGE, "guest: set what?");
    if (live_wait_agent(&cli->store, cli->id, deadline, e) < 0)
        return -1;
    int64_t left = deadline - clock_ms();
    json_t *doc = live_call(&cli->store, cli->id, "guest", order(args, left > 0 ? left : 1),
                            left + GRACE_MS, e);
    if (!doc)
        return -1;
    int failed = failures(doc);
    size_t all = json_array_size(json_object_get(doc, "items"));
    cli_print(cli, doc, print_items);
    return failed ? err_set(e, ERR_FAILED, "guest: %d of %zu could not be set", failed, all) : 0;
}

const struct command cmd_guest = {
    .name = "guest",
    .summary = "Set the guest's name, addresses, clock and the like, by its agent",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct guest_args),
    .run = run_guest,
};
