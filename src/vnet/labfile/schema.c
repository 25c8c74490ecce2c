// The tables. Their order is that of the normalised print, and of reading.
#include "vnet/labfile/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vnet/labfile/complete.h"
#include "vnet/labfile/forward.h"
#include "vnet/labfile/inlet.h"
#include "vnet/labfile/labfile.h"
#include "vnet/labfile/type.h"

#define SECOND 1000000000ULL
#define HOUR (3600 * SECOND)

#define SIZE_OF(where, field) sizeof(((where *)NULL)->field)
#define AT(where, field) .at = offsetof(where, field), .size = SIZE_OF(where, field)
// A list: the pointer, and its length.
#define ALL(where, pointer, length)                                                                \
    .at = offsetof(where, pointer), .size = sizeof *((where *)NULL)->pointer,                      \
    .count = offsetof(where, length)
#define BESIDE(where, field, second)                                                               \
    AT(where, field), .beside = offsetof(where, second) - offsetof(where, field)

static struct choice nat_preset(unsigned i)
{
    static const struct choice all[] = {{"easy", VNET_NAT_EASY}, {"none", VNET_NAT_NONE}, {0}};
    return all[i];
}

static struct choice unknown_macs(unsigned i)
{
    static const struct choice all[] = {{"join", LABFILE_JOIN}, {"refuse", LABFILE_REFUSE}, {0}};
    return all[i];
}

static struct choice takeover(unsigned i)
{
    static const struct choice all[] = {{"dead", LABFILE_DEAD}, {"any", LABFILE_ANY}, {0}};
    return all[i];
}

static struct choice dns_fault(unsigned i)
{
    if (i >= VNET_DNS_FAULT_COUNT)
        return (struct choice){0};
    return (struct choice){vnet_dns_fault_name((enum vnet_dns_fault)i), i};
}

static struct choice egress(unsigned i)
{
    static const struct choice all[] = {
        {"none", LABFILE_EGRESS_NONE}, {"host", LABFILE_EGRESS_HOST}, {0}};
    return all[i];
}

static struct choice host_lan(unsigned i)
{
    static const struct choice all[] = {{"deny", LABFILE_DENY}, {"allow", LABFILE_ALLOW}, {0}};
    return all[i];
}

static const struct key name_keys[] = {
    {"address", &type_address, ALL(struct labfile_name, addresses, address_count),
     .most = LABFILE_PER_NAME_MAX},
    {"cname", &type_domain, AT(struct labfile_name, cname), .optional = true},
    {"txt", &type_text, ALL(struct labfile_name, texts, text_count), .most = LABFILE_PER_NAME_MAX},
    {0},
};
static const struct section name_section = {
    .what = "a DNS name",
    .keys = name_keys,
    .shorthand = "address",
    .names = &type_domain,
    .complete = complete_name,
};

static const struct key ra_keys[] = {
    {"interval", &type_duration, AT(struct labfile_network, is.ra_seconds), .min = 4 * SECOND,
     .max = 1800 * SECOND, .unit = SECOND, .optional = true},
    {"managed", &type_bool, AT(struct labfile_network, is.ra_managed), .usual = "false"},
    {"other", &type_bool, AT(struct labfile_network, is.ra_other), .usual = "false"},
    {0},
};
static const struct section ra_section = {.what = "router advertisements", .keys = ra_keys};

static const struct key network_keys[] = {
    {"lan", &type_ip4_net, BESIDE(struct labfile_network, is.router, is.prefix), .min = 8,
     .max = 30, .optional = true},
    {"lan6", &type_ip6_net, BESIDE(struct labfile_network, is.router6, is.prefix6), .min = 64,
     .max = 64, .optional = true},
    {"wan", &type_ip4, AT(struct labfile_network, is.wan), .optional = true},
    {"nat", &type_choice, AT(struct labfile_network, is.nat), .what = "NAT preset",
     .choice = nat_preset},
    {"mtu", &type_number, AT(struct labfile_network, is.mtu), .min = 576, .max = VNET_MTU_MAX,
     .usual = "1500"},
    {"wan-mtu", &type_number, AT(struct labfile_network, is.wan_mtu), .min = 576,
     .max = VNET_MTU_MAX, .optional = true},
    {"domain", &type_domain, AT(struct labfile_network, domain), .optional = true},
    {"lease-time", &type_duration, AT(struct labfile_network, is.lease_seconds), .min = SECOND,
     .max = 8760 * HOUR, .unit = SECOND, .usual = "1h"},
    {"ra", NULL, &ra_section},
    {"transparent", &type_bool, AT(struct labfile_network, is.transparent), .usual = "false"},
    {"flood-unknown", &type_bool, AT(struct labfile_network, is.no_flood), .usual = "true",
     .inverted = true},
    {"dns", NULL, &name_section, ALL(struct labfile_network, names, name_count),
     .most = LABFILE_NAMES_MAX},
    {"dns-fault", &type_choice, AT(struct labfile_network, dns_fault), .what = "DNS fault",
     .choice = dns_fault},
    {0},
};
static const struct section network_section = {
    .what = "a network",
    .keys = network_keys,
    .names = &type_id,
    .complete = complete_network,
};

static const struct key direction_keys[] = {
    {"delay", &type_duration, AT(struct vnet_link, delay), .max = HOUR, .unit = 1},
    {"queue", &type_number, AT(struct vnet_link, queue), .max = 1000000},
    {"down", &type_bool, AT(struct vnet_link, down)},
    {0},
};
static const struct section direction_section = {
    .what = "a link's direction",
    .keys = direction_keys,
};

#define BOTH(field)                                                                                \
    BESIDE(struct labfile_node, link[VNET_UP].field, link[VNET_DOWN].field), .both = true
static const struct key link_keys[] = {
    {"delay", &type_duration, BOTH(delay), .max = HOUR, .unit = 1, .usual = "0s"},
    {"queue", &type_number, BOTH(queue), .max = 1000000, .usual = "0"},
    {"up", NULL, &direction_section, .at = offsetof(struct labfile_node, link[VNET_UP])},
    {"down", NULL, &direction_section, .at = offsetof(struct labfile_node, link[VNET_DOWN])},
    {0},
};
static const struct section link_section = {.what = "a link", .keys = link_keys};

static const struct key node_keys[] = {
    {"mac", &type_mac, AT(struct labfile_node, is.mac), .optional = true},
    {"network", &type_id, AT(struct labfile_node, network), .optional = true},
    {"ip", &type_ip4, AT(struct labfile_node, is.address), .optional = true},
    {"ip6", &type_ip6, AT(struct labfile_node, is.address6), .optional = true},
    {"link", NULL, &link_section},
    {0},
};
static const struct section node_section = {
    .what = "a node",
    .keys = node_keys,
    .names = &type_label,
    .complete = complete_node,
};

static const struct key forward_keys[] = {
    {"to", &type_text, AT(struct labfile_forward, to), .optional = true},
    {"page", &type_page, AT(struct labfile_forward, page), .optional = true},
    {0},
};
static const struct section forward_section = {
    .what = "a forward",
    .keys = forward_keys,
    .shorthand = "to",
    .names = &type_text,
    .complete = complete_forward,
};

static const struct key inlet_keys[] = {
    {"to", &type_text, AT(struct labfile_inlet, to), .optional = true},
    {0},
};
static const struct section inlet_section = {
    .what = "a port of the host",
    .keys = inlet_keys,
    .shorthand = "to",
    .names = &type_text,
    .complete = complete_inlet,
};

static const struct key internet_keys[] = {
    {"dns", NULL, &name_section, ALL(struct labfile, names, name_count), .most = LABFILE_NAMES_MAX},
    {"hosts", &type_address, ALL(struct labfile, hosts, host_count), .most = LABFILE_HOSTS_MAX},
    {"egress", &type_choice, AT(struct labfile, egress), .usual = "none", .what = "egress",
     .choice = egress},
    {"host-lan", &type_choice, AT(struct labfile, host_lan), .usual = "deny",
     .what = "treatment of the host's LAN", .choice = host_lan},
    {"forward", NULL, &forward_section, ALL(struct labfile, forwards, forward_count),
     .most = LABFILE_FORWARDS_MAX},
    {"from-host", NULL, &inlet_section, ALL(struct labfile, inlets, inlet_count),
     .most = LABFILE_INLETS_MAX},
    {0},
};
static const struct section internet_section = {.what = "the internet", .keys = internet_keys};

static const struct key lab_keys[] = {
    {"seed", &type_number, AT(struct labfile, seed), .max = UINT64_MAX, .usual = "0"},
    {"capture", &type_path, AT(struct labfile, capture), .optional = true},
    {"networks", NULL, &network_section, ALL(struct labfile, networks, network_count),
     .most = VNET_NETWORKS_MAX},
    {"default-network", &type_id, AT(struct labfile, default_name), .optional = true},
    {"unknown-macs", &type_choice, AT(struct labfile, unknown_macs), .usual = "join",
     .what = "treatment of unknown MACs", .choice = unknown_macs},
    {"mac-takeover", &type_choice, AT(struct labfile, mac_takeover), .usual = "dead",
     .what = "MAC takeover", .choice = takeover},
    {"nodes", NULL, &node_section, ALL(struct labfile, nodes, node_count),
     .most = LABFILE_NODES_MAX},
    {"internet", NULL, &internet_section},
    {0},
};
const struct section schema_lab = {
    .what = "a lab",
    .keys = lab_keys,
    .complete = complete_lab,
};

const struct key *schema_find(const struct section *s, const char *name)
{
    for (const struct key *key = s->keys; key->name; key++)
        if (strcmp(key->name, name) == 0)
            return key;
    return NULL;
}

void schema_names(const struct section *s, char *out, size_t size)
{
    size_t n = 0;
    for (const struct key *key = s->keys; key->name && n < size; key++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", key == s->keys ? "" : ", ", key->name);
}

void *schema_list(const struct key *key, const void *base, unsigned *count)
{
    void *list;
    memcpy(&list, (const char *)base + key->at, sizeof list);
    memcpy(count, (const char *)base + key->count, sizeof *count);
    return list;
}

static void free_field(const struct key *key, void *field)
{
    char *text;
    if (!key->type->owned)
        return;
    memcpy(&text, field, sizeof text);
    free(text);
}

static void free_list(const struct key *key, void *base)
{
    unsigned count;
    char *list = schema_list(key, base, &count);
    for (unsigned i = 0; i < count; i++) {
        void *element = list + i * key->size;
        if (key->section) {
            free(((struct labfile_entry *)element)->name);
            schema_free(key->section, element);
        } else {
            free_field(key, element);
        }
    }
    free(list);
}

void schema_free(const struct section *s, void *element)
{
    for (const struct key *key = s->keys; key->name; key++) {
        void *field = (char *)element + key->at;
        if (key->most)
            free_list(key, element);
        else if (key->section)
            schema_free(key->section, field);
        else
            free_field(key, field);
    }
}
