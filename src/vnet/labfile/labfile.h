// The lab file: which networks, nodes and names a lab has (vnet-lab(5)).
//
//     struct labfile *lab = labfile_read("lab.yaml", &e);
//     labfile_build(lab, v, &e);
//     labfile_free(lab);
//
// What is read is checked, and complete: every default is filled in. An error has the place it is
// about: `lab.yaml:5:36: unknown NAT preset 'easey' (easy, none)`; ERR_USAGE, or ERR_FAILED for a
// file that cannot be read.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "vnet/vnet.h"

enum {
    LABFILE_SIZE_MAX = 1 << 20, // bytes of a file
    LABFILE_NODES_MAX = 1024,
    LABFILE_NAMES_MAX = 1024,  // of one network or of the internet
    LABFILE_PER_NAME_MAX = 64, // addresses, and texts
    LABFILE_HOSTS_MAX = 1024,
    LABFILE_FORWARDS_MAX = 200,
    LABFILE_INLETS_MAX = 200,
    LABFILE_SAME_HOST_MAX = 3, // forwards to one address and port
    LABFILE_PAGE_MAX = 64 << 10,
};

struct tree;

struct labfile_position {
    unsigned line, column; // from 1; line 0: nowhere in a file
};

// What a network, a node and a DNS name begin with.
struct labfile_entry {
    char *name;
    struct labfile_position at;
    const struct tree *from; // NULL once the file is read
};

struct labfile_address {
    bool is6;
    uint32_t v4;
    struct ip6 v6;
    struct labfile_position at;
};

// Everything that DNS servers say of a name.
struct labfile_name {
    struct labfile_entry entry; // the name in lower case, without a final dot
    struct labfile_address *addresses;
    unsigned address_count;
    char *cname;
    char **texts;
    unsigned text_count;
};

struct labfile_network {
    struct labfile_entry entry;
    struct vnet_network is; // its strings are ours
    char *domain;
    struct labfile_name *names; // what only this network's router answers
    unsigned name_count;
    enum vnet_dns_fault dns_fault;
};

struct labfile_node {
    struct labfile_entry entry;
    struct vnet_node is;      // its network is an index into labfile.networks
    struct vnet_link link[2]; // of its plug, by enum vnet_direction
    char *network;
};

// "5.0.0.1:80", "5.0.0.1:53/udp".
struct labfile_port {
    uint8_t protocol; // 6 or 17
    uint16_t port;
    uint32_t address;
};

// A port of the internet behind which is one of the host.
struct labfile_forward {
    struct labfile_entry entry; // its name is a port's, too
    char *to, *page;            // one of them: the page is answered by HTTP
    struct labfile_port is;
    uint32_t host; // 0: `path`
    uint16_t host_port;
    const char *path; // of a unix socket, in `to`
};

// A port of the host that leads to one of a guest.
enum { INLET_GUEST_MAX = 65, INLET_TEXT = sizeof "255.255.255.255:65535/udp" };
struct inlet {
    uint8_t protocol; // 6 or 17
    uint32_t host;    // where it listens; 0: at all addresses
    uint16_t host_port, port;
    char guest[INLET_GUEST_MAX]; // an id, an address or a MAC
};
// From "8080", "127.0.0.1:53/udp", and "vm1:80"; `to` NULL: not asked for. ERR_USAGE.
int inlet_parse(const char *listen, const char *to, struct inlet *out, struct err *e);
// "127.0.0.1:8080", with "/udp" where it is that.
void inlet_format(const struct inlet *inlet, char out[static INLET_TEXT]);

// Whether both listen at the same port.
bool inlet_is_at(const struct inlet *a, const struct inlet *b);

struct labfile_inlet {
    struct labfile_entry entry;
    char *to;
    struct inlet is;
};

enum labfile_egress { LABFILE_EGRESS_NONE, LABFILE_EGRESS_HOST };
enum labfile_host_lan { LABFILE_DENY, LABFILE_ALLOW };
enum labfile_unknown_macs { LABFILE_JOIN, LABFILE_REFUSE };
enum labfile_takeover { LABFILE_DEAD, LABFILE_ANY };

struct labfile {
    uint64_t seed;
    char *capture;      // as in the file; NULL: none
    char *capture_path; // the same, seen from the current directory: it is relative to the file's
    struct labfile_network *networks; // at least one
    unsigned network_count;
    char *default_name;
    unsigned default_network; // its index
    enum labfile_unknown_macs unknown_macs;
    enum labfile_takeover mac_takeover;
    struct labfile_node *nodes;
    unsigned node_count;
    struct labfile_name *names; // what every router answers
    unsigned name_count;
    struct labfile_address *hosts; // which answer pings, beside those of `names`
    unsigned host_count;
    enum labfile_egress egress;
    enum labfile_host_lan host_lan; // whether the egress leads there, too
    struct labfile_forward *forwards;
    unsigned forward_count;
    struct labfile_inlet *inlets;
    unsigned inlet_count;
    char *file; // for errors
};

struct labfile *labfile_read(const char *path, struct err *e);
// From text; `file` is its path, for errors and for what is relative to it.
struct labfile *labfile_parse(const char *text, size_t n, const char *file, struct err *e);
// The lab of those who have none: one network `net`.
struct labfile *labfile_default(void);
void labfile_free(struct labfile *lab);

// As YAML with every key in its place and every default written out. Read back it is the same lab,
// and printed again the same text.
void labfile_print(FILE *out, const struct labfile *lab);

// The core's default limits, or more where the lab needs it.
struct vnet_limits labfile_limits(const struct labfile *lab);

// Adds the networks, in their order, to a core lab that has none yet, then nodes, names and hosts.
// The internet's hosts are those of the file, and every address of `names` that is in no LAN.
int labfile_build(const struct labfile *lab, struct vnet *v, struct err *e);
// Whether a core lab with these limits takes it: builds one and throws it away.
int labfile_try(const struct labfile *lab, struct err *e);

// The MTU of the lab's way out: the largest of all uplinks.
uint16_t labfile_egress_mtu(const struct labfile *lab);

// Whether a link of a node's holds so many frames and no more.
bool labfile_has_queues(const struct labfile *lab);

// The node with this MAC; NULL: none.
const struct labfile_node *labfile_node(const struct labfile *lab, struct mac mac);
