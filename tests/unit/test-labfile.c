// Lab files: what is read, every refusal and its place, the normalised print, the core's lab.
#include "vnet/labfile/labfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tempdir.h"

#define LENGTH(table) (sizeof(table) / sizeof *(table))

static struct labfile *must_parse(const char *text)
{
    struct err e = {0};
    struct labfile *lab = labfile_parse(text, strlen(text), "lab.yaml", &e);
    if (!lab)
        fail_msg("%s: %s", text, e.msg);
    return lab;
}

static char *printed(const struct labfile *lab)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    labfile_print(out, lab);
    fclose(out);
    return text;
}

static const char all_keys[] =
    "# a comment\n"
    "seed: 18446744073709551615\n"
    "capture: traces/lab.pcapng\n"
    "nodes:\n"
    "  a: { mac: \"52:CC:cc:cc:cc:07\", network: home, ip: 192.168.1.50, ip6: \"2000:52::50\",\n"
    "       link: { delay: 1.5ms, queue: 9, up: { delay: 20us }, down: { down: true } } }\n"
    "  b:\n"
    "  c: { network: six }\n"
    "default-network: office\n"
    "unknown-macs: refuse\n"
    "mac-takeover: any\n"
    "networks:\n"
    "  home: { lan: 192.168.1.1/24, lan6: \"2000:52::1/64\", wan: 2.1.1.1, wan-mtu: 1400 }\n"
    "  office: { lan: 10.2.0.1/16, wan: 2.2.2.2, nat: none, mtu: 9000, lease-time: 1.5m,\n"
    "            ra: { interval: 5s, managed: true, other: true }, domain: Office.Test.,\n"
    "            transparent: true, flood-unknown: false, dns-fault: servfail }\n"
    "  six: { lan6: 2000:99::1/64, dns: { Mail: { cname: x.test }, \"old.\": 10.2.0.9 } }\n"
    "  usual:\n"
    "internet:\n"
    "  dns:\n"
    "    example.test: [5.0.0.1, \"2052::1\"]\n"
    "    text.test: { txt: [\"v=1 \\\"q\\\" \\u00e4\\u2603\\U0001f600\\n\", b], address: 5.0.0.1 "
    "}\n"
    "  hosts: 8.8.8.8\n";

static void the_default_lab(void **state)
{
    static const struct ip6 router = {
        {0xfd, 0x52, 0xcc, 0xcc, 0xcc, 0xcc, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1}};
    struct labfile *lab = labfile_default();
    assert_int_equal(lab->network_count, 1);
    assert_int_equal(lab->node_count, 0);
    assert_int_equal(lab->unknown_macs, LABFILE_JOIN);
    assert_int_equal(lab->mac_takeover, LABFILE_DEAD);
    assert_null(lab->capture);
    assert_null(lab->capture_path);
    const struct vnet_network *net = &lab->networks[0].is;
    assert_string_equal(net->name, "net");
    assert_string_equal(net->domain, "net.internal");
    assert_int_equal(net->router, 0xc0a80001);
    assert_int_equal(net->prefix, 24);
    assert_memory_equal(&net->router6, &router, sizeof router);
    assert_int_equal(net->prefix6, 64);
    assert_int_equal(net->wan, 0);
    assert_int_equal(net->nat, VNET_NAT_NONE);
    assert_int_equal(net->mtu, 1500);
    assert_int_equal(net->lease_seconds, 3600);
    assert_int_equal(net->ra_seconds, 0);
    assert_false(net->no_flood);
    labfile_free(lab);
}

static void networks(void **state)
{
    struct labfile *lab = must_parse(all_keys);
    assert_int_equal(lab->seed, UINT64_MAX);
    assert_int_equal(lab->unknown_macs, LABFILE_REFUSE);
    assert_int_equal(lab->mac_takeover, LABFILE_ANY);
    assert_int_equal(lab->network_count, 4);
    assert_int_equal(lab->default_network, 1);
    const struct vnet_network *home = &lab->networks[0].is;
    assert_int_equal(home->wan, 0x02010101);
    assert_int_equal(home->wan_mtu, 1400);
    assert_int_equal(home->nat, VNET_NAT_EASY); // it has a WAN address
    const struct vnet_network *office = &lab->networks[1].is;
    assert_int_equal(office->router, 0x0a020001);
    assert_int_equal(office->prefix, 16);
    assert_int_equal(office->prefix6, 0);
    assert_int_equal(office->nat, VNET_NAT_NONE);
    assert_int_equal(office->mtu, 9000);
    assert_int_equal(office->lease_seconds, 90);
    assert_int_equal(office->ra_seconds, 5);
    assert_true(office->ra_managed && office->ra_other);
    assert_true(office->transparent && office->no_flood);
    assert_string_equal(office->domain, "office.test");
    assert_int_equal(lab->networks[1].dns_fault, VNET_DNS_SERVFAIL);
    assert_int_equal(lab->networks[2].is.prefix, 0);
    assert_int_equal(lab->networks[2].is.router, 0);
    assert_int_equal(lab->networks[3].is.router, 0xc0a80301); // the fourth
    assert_int_equal(lab->networks[3].is.router6.octet[7], 4);
    labfile_free(lab);
}

static void nodes(void **state)
{
    struct labfile *lab = must_parse(all_keys);
    assert_int_equal(lab->node_count, 3);
    const struct labfile_node *a =
        labfile_node(lab, (struct mac){{0x52, 0xcc, 0xcc, 0xcc, 0xcc, 7}});
    assert_ptr_equal(a, &lab->nodes[0]);
    assert_string_equal(a->is.name, "a");
    assert_int_equal(a->is.network, 0);
    assert_int_equal(a->is.address, 0xc0a80132);
    assert_int_equal(a->is.address6.octet[15], 0x50);
    assert_int_equal(a->link[VNET_UP].delay, 20000);
    assert_int_equal(a->link[VNET_DOWN].delay, 1500000);
    assert_int_equal(a->link[VNET_UP].queue, 9);
    assert_int_equal(a->link[VNET_DOWN].queue, 9);
    assert_false(a->link[VNET_UP].down);
    assert_true(a->link[VNET_DOWN].down);
    assert_int_equal(lab->nodes[1].is.network, 1); // the default network
    assert_int_equal(lab->nodes[1].is.mac.octet[5], 2);
    assert_int_equal(lab->nodes[2].is.network, 2);
    assert_null(labfile_node(lab, (struct mac){{0x52}}));
    labfile_free(lab);
}

static void names(void **state)
{
    struct labfile *lab = must_parse(all_keys);
    assert_int_equal(lab->name_count, 2);
    assert_int_equal(lab->names[0].address_count, 2);
    assert_int_equal(lab->names[0].addresses[0].v4, 0x05000001);
    assert_true(lab->names[0].addresses[1].is6);
    assert_int_equal(lab->names[1].text_count, 2);
    assert_string_equal(lab->names[1].texts[0], "v=1 \"q\" ä☃😀\n");
    assert_int_equal(lab->host_count, 1);
    const struct labfile_network *six = &lab->networks[2];
    assert_int_equal(six->name_count, 2);
    assert_string_equal(six->names[0].entry.name, "mail");
    assert_string_equal(six->names[0].cname, "x.test");
    assert_string_equal(six->names[1].entry.name, "old");
    assert_int_equal(six->names[1].addresses[0].v4, 0x0a020009);
    labfile_free(lab);
}

static void print_reads_back(void **state)
{
    struct labfile *lab = must_parse(all_keys);
    char *text = printed(lab);
    struct labfile *again = must_parse(text);
    char *text_again = printed(again);
    assert_string_equal(text, text_again);
    assert_non_null(strstr(text, "lease-time: 90s\n"));
    assert_non_null(strstr(text, "        delay: 1500us\n        queue: 9\n        down: true\n"));
    assert_non_null(strstr(text, "    example.test: [5.0.0.1, \"2052::1\"]\n"));
    assert_non_null(strstr(text, "\"v=1 \\\"q\\\" \\xe4\\u2603\\U0001f600\\x0a\""));
    free(text);
    free(text_again);
    labfile_free(lab);
    labfile_free(again);
}

// Exact, however they are written: never through a floating-point number.
static void durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        {"0", 0},
        {"0s", 0},
        {"1ns", 1},
        {"0.001us", 1},
        {"20ms", 20000000},
        {"1.5s", 1500000000},
        {"0.000000001s", 1},
        {"1.0000000000000s", 1000000000},
        {"3599.999999999s", 3599999999999},
        {"1h", 3600000000000},
        {"0.25m", 15000000000},
    };
    static const char *const bad[] = {
        "20",
        "ms",
        ".5s",
        "1.s",
        "1 s",
        "-1s",
        "1e3s",
        "0x1s",
        "1.5",
        "0.5ns",
        "0.0000000001s",
        "3600.000000001s",
        "2h",
        "18446744073709551616ns",
        "99999999999999999999h",
        "1S",
        "",
    };
    for (size_t i = 0; i < LENGTH(good); i++) {
        char *text = xasprintf("networks: {n: }\nnodes: {a: {link: {delay: %s}}}", good[i].text);
        struct labfile *lab = must_parse(text);
        assert_int_equal(lab->nodes[0].link[VNET_UP].delay, good[i].ns);
        assert_int_equal(lab->nodes[0].link[VNET_DOWN].delay, good[i].ns);
        labfile_free(lab);
        free(text);
    }
    for (size_t i = 0; i < LENGTH(bad); i++) {
        struct err e = {0};
        char *text = xasprintf("networks: {n: }\nnodes: {a: {link: {delay: '%s'}}}", bad[i]);
        if (labfile_parse(text, strlen(text), "lab.yaml", &e))
            fail_msg("%s was taken", bad[i]);
        assert_non_null(strstr(e.msg, "lab.yaml:2:27: delay: "));
        free(text);
    }
}

// One network, and what follows on the lines after it.
#define NET "networks: {n: {lan: 10.0.0.1/24, lan6: 'fd00::1/64'}}\n"
#define TWO "networks:\n  a: {wan: 1.0.0.1}\n"

static const struct {
    const char *text;
    const char *says; // how the error begins
} refusals[] = {
    // YAML
    {"networks: {", "lab.yaml:"},
    {"a: b: c", "lab.yaml:1:5: mapping values are not allowed"},
    {"\tx: 1", "lab.yaml:1:1: "},
    {"seed: 1\nnetworks: {\xff}", "lab.yaml:2:12: invalid leading UTF-8 octet"},
    {"seed: \"\\0\"", "lab.yaml:1:7: a NUL character"},
    {"\"\\0\": 1", "lab.yaml:1:1: a NUL character"},
    {"networks: &x {n: }", "lab.yaml:1:11: a lab file has no anchors"},
    {"networks: *x", "lab.yaml:1:11: a lab file has no anchors"},
    {"networks: !!map {n: }", "lab.yaml:1:11: a lab file has no anchors"},
    {"&x networks: {n: }", "lab.yaml:1:"},
    {"? [a]\n: b", "lab.yaml:1:3: a key must be a word"},
    {NET "---\nseed: 1", "lab.yaml:2:1: a lab file is one document"},
    {"seed: 1\nseed: 2", "lab.yaml:2:1: 'seed' is there twice, first in line 1"},
    {"[[[[[[[[[[[[[[[[[[[[", "lab.yaml:1:18: more than 16 levels deep"},
    // Kinds
    {"", "lab.yaml:1:1: a lab needs at least one network"},
    {"networks:", "lab.yaml:1:10: a lab needs at least one network"},
    {"- a", "lab.yaml:1:1: a lab: a mapping belongs here (seed, capture, networks, "},
    {"networks: [n]", "lab.yaml:1:11: networks: a mapping of names belongs here"},
    {"networks: {n: 5}", "lab.yaml:1:15: a network: a mapping belongs here (lan, lan6, "},
    {"networks: {n: {mtu: [1]}}", "lab.yaml:1:21: mtu: one value belongs here, not a list"},
    {"networks: {n: {mtu: {a: 1}}}", "lab.yaml:1:21: mtu: one value belongs here, not a mapping"},
    {"networks: {n: {rate: 1}}",
     "lab.yaml:1:16: unknown key 'rate' of a network (lan, lan6, wan, "},
    {"network: {n: }", "lab.yaml:1:1: unknown key 'network' of a lab (seed, "},
    {"networks: {.n: }", "lab.yaml:1:12: networks: '.n' is not an id"},
    // Values
    {NET "seed: -1",
     "lab.yaml:2:7: seed: '-1' is not a whole number from 0 to 18446744073709551615"},
    {NET "seed: 18446744073709551616", "lab.yaml:2:7: seed: "},
    {NET "seed:", "lab.yaml:2:6: seed: '' is not a whole number"},
    {NET "seed: \"\\e[31m\"", "lab.yaml:2:7: seed: '?[31m' is not"},
    {NET "capture: \"a\\nb\"", "lab.yaml:2:10: capture: 'a?b' is not a path"},
    {NET "capture: ''", "lab.yaml:2:10: capture: '' is not a path"},
    {NET "unknown-macs: jion",
     "lab.yaml:2:15: unknown treatment of unknown MACs 'jion' (join, refuse)"},
    {NET "mac-takeover: no", "lab.yaml:2:15: unknown MAC takeover 'no' (dead, any)"},
    {NET "default-network: m", "lab.yaml:2:18: unknown network 'm' (n)"},
    {"networks:\n  n: {nat: easey}", "lab.yaml:2:12: unknown NAT preset 'easey' (easy, none)"},
    {"networks:\n  n: {dns-fault: x}", "lab.yaml:2:18: unknown DNS fault 'x' ("},
    {"networks: {n: {lan: 4x2}}", "lab.yaml:1:21: lan: '4x2' is not an IPv4 address with a prefix "
                                  "length from 8 to 30, such as 192.168.1.1/24"},
    {"networks: {n: {lan: 10.0.0.1}}", "lab.yaml:1:21: lan: "},
    {"networks: {n: {lan: 10.0.0.1/7}}", "lab.yaml:1:21: lan: "},
    {"networks: {n: {lan: 10.0.0.1/31}}", "lab.yaml:1:21: lan: "},
    {"networks: {n: {lan: 10.0.0.1/24x}}", "lab.yaml:1:21: lan: "},
    {"networks: {n: {lan: 127.0.0.1/24}}", "lab.yaml:1:21: lan: "},
    {"networks: {n: {lan6: 'fd00::1/63'}}", "lab.yaml:1:22: lan6: 'fd00::1/63' is not a global "
                                            "IPv6 address with the prefix length 64"},
    {"networks: {n: {lan6: 'fe80::1/64'}}", "lab.yaml:1:22: lan6: "},
    {"networks: {n: {lan6: 10.0.0.1/64}}", "lab.yaml:1:22: lan6: "},
    {"networks: {n: {wan: 224.0.0.1}}", "lab.yaml:1:21: wan: "},
    {"networks: {n: {wan: 1.1.1}}", "lab.yaml:1:21: wan: "},
    {"networks: {n: {mtu: 575}}",
     "lab.yaml:1:21: mtu: '575' is not a whole number from 576 to 9216"},
    {"networks: {n: {mtu: 9217}}", "lab.yaml:1:21: mtu: "},
    {"networks: {n: {mtu: 1e3}}", "lab.yaml:1:21: mtu: "},
    {"networks: {n: {transparent: yes}}", "lab.yaml:1:29: transparent: 'yes' is not true or false"},
    {"networks: {n: {lease-time: 1500ms}}",
     "lab.yaml:1:28: lease-time: '1500ms' is not a duration from 1s to 8760h"},
    {"networks: {n: {ra: {interval: 0}}}", "lab.yaml:1:31: interval: "},
    {"networks: {n: {domain: a..b}}", "lab.yaml:1:24: domain: 'a..b' is not a domain name"},
    {"networks: {a..b: }", "lab.yaml:1:12: a network 'a..b' needs a 'domain': 'a..b.internal' is"},
    {NET "nodes: {a: {mac: '53:cc:cc:cc:cc:01'}}",
     "lab.yaml:2:18: mac: '53:cc:cc:cc:cc:01' is not"},
    {NET "nodes: {a: {link: {down: true}}}",
     "lab.yaml:2:26: a link's direction: a mapping belongs here (delay, queue, down)"},
    {NET "nodes: {a: {link: {up: {loss: 1%}}}}", "lab.yaml:2:25: unknown key 'loss'"},
    // Names
    {NET "internet: {dns: {a: b}}", "lab.yaml:2:21: address: 'b' is not the address of a host"},
    {NET "internet: {dns: {a: }}", "lab.yaml:2:21: address: '' is not the address of a host"},
    {NET "internet: {dns: {a: []}}", "lab.yaml:2:21: 'a' needs an address, a cname or a txt"},
    {NET "internet: {dns: {a: {}}}", "lab.yaml:2:21: 'a' needs an address, a cname or a txt"},
    {NET "internet: {dns: {a: {cname: b, txt: c}}}",
     "lab.yaml:2:29: 'a' has a cname, beside which"},
    {NET "internet: {dns: {a: 1.1.1.1, A.: 1.1.1.2}}",
     "lab.yaml:2:30: 'a' is there twice, first in line 2"},
    {NET "internet: {dns: {a b: 1.1.1.1}}", "lab.yaml:2:18: dns: 'a b' is not a domain name"},
    // Between values: networks
    {TWO "  b: {wan: 1.0.0.1}", "lab.yaml:3:12: wan: network 'a' has the same WAN address"},
    {TWO "  b: {wan: 192.168.1.9}",
     "lab.yaml:3:12: wan: the address lies in the LAN of network 'b'"},
    {TWO "  b: {lan: 1.0.0.2/24}",
     "lab.yaml:2:12: wan: the address lies in the LAN of network 'b'"},
    {TWO "  b: {nat: easy}",
     "lab.yaml:3:12: nat: it translates from 'lan' to 'wan' and needs both"},
    {TWO "  b: {nat: easy, lan6: 'fd00::1/64', wan: 1.0.0.2}", "lab.yaml:3:12: nat: "},
    {"networks:\n  a: {lan: 10.0.0.1/8}\n  b: {lan: 10.1.0.1/16}",
     "lab.yaml:3:12: lan: it overlaps network 'a'"},
    {"networks:\n  a: {lan: 10.1.0.1/16}\n  b: {lan: 10.0.0.1/8}",
     "lab.yaml:3:12: lan: it overlaps network 'a'"},
    {"networks:\n  a: {lan6: 'fd00::1/64'}\n  b: {lan6: 'fd00::2/64'}",
     "lab.yaml:3:13: lan6: it overlaps network 'a'"},
    {"networks: {a: {lan: 10.0.0.0/24}}", "lab.yaml:1:21: lan: the router needs an address"},
    {"networks: {a: {lan: 10.0.0.255/24}}", "lab.yaml:1:21: lan: the router needs an address"},
    {"networks: {a: {mtu: 1279}}", "lab.yaml:1:21: mtu: IPv6 needs at least 1280"},
    {"networks: {a: {wan-mtu: 1279}}", "lab.yaml:1:25: wan-mtu: IPv6 needs at least 1280"},
    // Nodes
    {NET "nodes: {a.b: }", "lab.yaml:2:9: nodes: 'a.b' is not a host's name"},
    {NET "nodes: {a: {network: m}}", "lab.yaml:2:22: unknown network 'm' (n)"},
    {NET "nodes: {a: {ip: 10.0.1.2}}", "lab.yaml:2:17: ip: no address of a host in network 'n'"},
    {NET "nodes: {a: {ip: 10.0.0.255}}", "lab.yaml:2:17: ip: no address of a host in network 'n'"},
    {NET "nodes: {a: {ip: 10.0.0.1}}", "lab.yaml:2:17: ip: it is that of the router"},
    {NET "nodes: {a: {ip6: 'fd00:0:0:1::2'}}", "lab.yaml:2:18: ip6: no address in network 'n'"},
    {NET "nodes: {a: {ip6: 'fd00::1'}}", "lab.yaml:2:18: ip6: it is that of the router"},
    {NET "nodes: {a: {ip: 10.0.0.2}, b: {ip: 10.0.0.2}}",
     "lab.yaml:2:36: ip: node 'a' has the same one"},
    {NET "nodes: {a: {ip6: 'fd00::2'}, b: {ip6: 'fd00::2'}}",
     "lab.yaml:2:39: ip6: node 'a' has the same one"},
    {NET "nodes: {a: {mac: '52:cc:cc:cc:cc:02'}, b: }",
     "lab.yaml:2:40: mac: node 'a' has the same one"},
    {NET "nodes: {a: {mac: '52:ee:ee:ee:ee:09'}}", "lab.yaml:2:18: mac: 52:ee:ee:ee:ee:NN are"},
    // Hosts
    {NET "internet: {hosts: [1.1.1.1, 10.0.0.9]}",
     "lab.yaml:2:29: hosts: the address is that of a"},
    {NET "internet: {hosts: 'fd00::9'}", "lab.yaml:2:19: hosts: the address is that of a"},
};

static void each_refusal_has_its_place(void **state)
{
    for (size_t i = 0; i < LENGTH(refusals); i++) {
        struct err e = {0};
        const char *text = refusals[i].text;
        if (labfile_parse(text, strlen(text), "lab.yaml", &e))
            fail_msg("%s was taken", text);
        if (strncmp(e.msg, refusals[i].says, strlen(refusals[i].says)) != 0)
            fail_msg("%s: %s, and not %s", text, e.msg, refusals[i].says);
        assert_int_equal(e.code, ERR_USAGE);
    }
}

static void good_neighbours(void **state)
{
    static const char *const good[] = {
        // Behind NATs LANs may be the same.
        "networks:\n  a: {lan: 10.0.0.1/24, wan: 1.0.0.1}\n  b: {lan: 10.0.0.1/24, wan: 1.0.0.2}",
        "networks:\n  a: {lan: 10.0.0.1/24, mtu: 576}\n  b: {lan: 10.0.1.1/24}",
        "networks: {a: }\nnodes: {a: , b: , c: }",
        "networks: {a: {dns: {x: 192.168.0.9}}}\ninternet: {dns: {x: 192.168.0.9}}",
        "\xef\xbb\xbf%YAML 1.1\r\n---\r\nnetworks:\r\n  a:\r\n...\r\n",
        "{\"networks\": {\"a\": {\"mtu\": 1400, \"transparent\": true}}}", // JSON is YAML
    };
    for (size_t i = 0; i < LENGTH(good); i++)
        labfile_free(must_parse(good[i]));
}

// `text` so often that the file is full. All end with an error, at once.
static void hostile_input(void **state)
{
    static const struct {
        const char *before, *text, *says;
    } hostile[] = {
        {"a: ", "[", "more than 16 levels deep"},
        {"", "{a: ", "more than 16 levels deep"},
        {"", "{", "a key must be a word"},
        {"", "[{a: ", "more than 16 levels deep"},
        {"", "- ", "more than 16 levels deep"},
        {"", "? ", "a key must be a word"},
        {"", "- a\n", "more than 50000 keys and values"},
        {"[", "[],", "more than 50000 keys and values"},
        {"seed: ", "x", "seed: 'xxx"},
        {"seed: |\n", " x\n", "seed: 'x?x?"},
        {"seed: \"", "\\n", "lab.yaml:1:"},
        {"a: &a [b]\n", "c: *a\n", "a lab file has no anchors"},
        {"", "\n", "a lab needs at least one network"},
        {"", "!", "lab.yaml:1:"},
        {"", "'a':\n", "more than 50000 keys and values"},
    };
    for (size_t i = 0; i < LENGTH(hostile); i++) {
        struct err e = {0};
        size_t n = strlen(hostile[i].before);
        size_t step = strlen(hostile[i].text);
        char *text = xcalloc(1, LABFILE_SIZE_MAX + 1);
        memcpy(text, hostile[i].before, n);
        for (; n + step <= LABFILE_SIZE_MAX; n += step)
            memcpy(text + n, hostile[i].text, step);
        if (labfile_parse(text, n, "lab.yaml", &e))
            fail_msg("%s was taken", hostile[i].text);
        if (!strstr(e.msg, hostile[i].says))
            fail_msg("%s: %s", hostile[i].text, e.msg);
        free(text);
    }
}

static void many_keys(void **state)
{
    static const struct {
        const char *before, *each, *says;
    } many[] = {
        {"", "k%05u: 1\n", "lab.yaml:1:1: unknown key 'k00000' of a lab"},
        {"networks:\n", "  n%05u:\n", "lab.yaml:257:3: networks: more than 255"},
        {"networks: {n: }\nnodes:\n", "  n%05u:\n", "lab.yaml:1027:3: nodes: more than 1024"},
        {"networks: {n: }\ninternet:\n  dns:\n", "    n%05u: 1.1.1.1\n",
         "lab.yaml:1028:5: dns: more"},
        {"networks: {n: }\ninternet:\n  hosts:\n", "  - 1.1.1.1 # %05u\n",
         "lab.yaml:1028:5: hosts: "},
    };
    for (size_t i = 0; i < LENGTH(many); i++) {
        struct err e = {0};
        char *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);
        assert_non_null(out);
        fputs(many[i].before, out);
        for (unsigned k = 0; k < 20000; k++)
            fprintf(out, many[i].each, k);
        fclose(out);
        assert_null(labfile_parse(text, n, "lab.yaml", &e));
        if (strncmp(e.msg, many[i].says, strlen(many[i].says)) != 0)
            fail_msg("%s: %s", many[i].each, e.msg);
        free(text);
    }
}

// A capture lies beside the lab file, wherever vnet is started.
static void paths(void **state)
{
    static const struct {
        const char *file, *capture, *path;
    } rows[] = {
        {"lab.yaml", "a.pcapng", "a.pcapng"},
        {"labs/lab.yaml", "a.pcapng", "labs/a.pcapng"},
        {"/lab.yaml", "a.pcapng", "/a.pcapng"},
        {"labs/lab.yaml", "/tmp/a.pcapng", "/tmp/a.pcapng"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct err e = {0};
        char *text = xasprintf(NET "capture: %s", rows[i].capture);
        struct labfile *lab = labfile_parse(text, strlen(text), rows[i].file, &e);
        assert_non_null(lab);
        assert_string_equal(lab->capture, rows[i].capture);
        assert_string_equal(lab->capture_path, rows[i].path);
        labfile_free(lab);
        free(text);
    }
}

static void files(void **state)
{
    const struct tempdir *t = *state;
    struct err e = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/lab.yaml", t->path);
    assert_null(labfile_read(path, &e));
    assert_int_equal(e.code, ERR_FAILED);
    assert_int_equal(file_write_atomic(t->fd, "lab.yaml", NET, strlen(NET), false, &e), 0);
    struct labfile *lab = labfile_read(path, &e);
    assert_non_null(lab);
    assert_string_equal(lab->networks[0].entry.name, "n");
    labfile_free(lab);
    assert_null(labfile_read(t->path, &e)); // a directory
}

static void no_output(void *arg, unsigned plug, struct frame *f)
{
}

static int build(const char *text, struct err *e)
{
    struct labfile *lab = must_parse(text);
    int done = labfile_try(lab, e);
    labfile_free(lab);
    return done;
}

static void the_core_takes_it(void **state)
{
    static const char *const good[] = {
        all_keys,
        "networks: {net: }",
        // One host of two names, a name at the office, a WAN address: each is added once at most.
        "networks: {n: {lan: 10.0.0.1/24, wan: 1.0.0.1}}\ninternet: {hosts: [5.0.0.1], "
        "dns: {a: 5.0.0.1, b: [5.0.0.1, '2052::1'], c: 10.0.0.9, d: 1.0.0.1, e: '2052::1'}}",
    };
    for (size_t i = 0; i < LENGTH(good); i++) {
        struct err e = {0};
        if (build(good[i], &e) < 0)
            fail_msg("%s: %s", good[i], e.msg);
    }
}

// What only the core knows has its place, too.
static void what_the_core_refuses_has_its_place(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"networks: {n: }\ninternet:\n  dns: {x: [5.0.0.1, 5.0.0.1]}", "lab.yaml:3:9: x: "},
        {"networks: {n: }\nnodes:\n  a:\n  router:", "lab.yaml:4:3: router: "},
        {"networks: {n: }\nnodes:\n  a:\n  A:", "lab.yaml:4:3: A: "},
        {"networks: {n: }\nnodes:\n  a: {ip: 192.168.0.103}\n  b:\n  c: {ip: 192.168.0.102}",
         "lab.yaml:5:3: c: "},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct err e = {0};
        assert_int_equal(build(rows[i].text, &e), -1);
        if (strncmp(e.msg, rows[i].says, strlen(rows[i].says)) != 0)
            fail_msg("%s: %s", rows[i].text, e.msg);
    }
}

// As many networks and nodes as a file may have, every node with a plug of its own.
static void a_large_lab_has_room(void **state)
{
    char *text = NULL;
    size_t n = 0;
    struct err e;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    fputs("networks:\n", out);
    for (unsigned i = 0; i < VNET_NETWORKS_MAX; i++)
        fprintf(out, "  n%u: { lan: 10.%u.0.1/16 }\n", i, i);
    fputs("nodes:\n", out);
    for (unsigned i = 0; i < LABFILE_NODES_MAX; i++)
        fprintf(out, "  a%u: { network: n0, mac: \"02:00:00:00:%02x:%02x\" }\n", i, i >> 8,
                i & 255);
    fclose(out);
    struct labfile *lab = must_parse(text);
    const struct vnet_limits limits = labfile_limits(lab);
    struct vnet *v = vnet_new(&limits, 1, &(struct vnet_owner){.output = no_output});
    assert_int_equal(labfile_build(lab, v, &e), 0);
    for (int i = 0; i < LABFILE_NODES_MAX + 1; i++)
        assert_int_equal(vnet_add_plug(v, &(struct vnet_plug){.name = "a"}, &e), i);
    vnet_free(v);
    labfile_free(lab);
    free(text);
}

static void a_small_lab_has_the_usual_limits(void **state)
{
    struct labfile *lab = labfile_default();
    const struct vnet_limits limits = labfile_limits(lab);
    assert_memory_equal(&limits, &vnet_default_limits, sizeof limits);
    labfile_free(lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_lab),
        cmocka_unit_test(networks),
        cmocka_unit_test(nodes),
        cmocka_unit_test(names),
        cmocka_unit_test(print_reads_back),
        cmocka_unit_test(durations),
        cmocka_unit_test(each_refusal_has_its_place),
        cmocka_unit_test(good_neighbours),
        cmocka_unit_test(hostile_input),
        cmocka_unit_test(many_keys),
        cmocka_unit_test(paths),
        cmocka_unit_test(the_core_takes_it),
        cmocka_unit_test(what_the_core_refuses_has_its_place),
        cmocka_unit_test(a_large_lab_has_room),
        cmocka_unit_test(a_small_lab_has_the_usual_limits),
        cmocka_unit_test_setup_teardown(files, tempdir_make, tempdir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
