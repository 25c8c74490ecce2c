// The programmable network's core: Ethernet frames in, Ethernet frames out, at their times.
//
// A lab is a value. It has no socket, no clock and no thread: whoever holds it passes in frames and
// the time, and gets frames back through a callback. The same networks, plugs, seed and inputs at
// the same times give the same output, byte for byte.
//
//     struct vnet *v = vnet_new(&vnet_default_limits, seed, &(struct vnet_owner){output, …});
//     int home = vnet_add_network(v, &(struct vnet_network){…}, &e);
//     int plug = vnet_add_plug(v, &(struct vnet_plug){"a", home}, &e);
//     vnet_input(v, now, plug, frame, n);
//     while (vnet_next(v) <= now)
//         vnet_advance(v, now);
//
// A network is an Ethernet switch with plugs, and a router on it: ARP and neighbour discovery,
// DHCPv4, router advertisements, DNS, pings. Routers forward to each other over their uplinks, as
// if one internet lay between them; it has hosts of its own (vnet_add_host()) that answer pings.
//
// Units: times are nanoseconds of a clock that the caller chooses; one that runs backwards is taken
// to stand still. IPv4 addresses are numbers in host byte order (192.168.0.1 is 0xc0a80001). Frames
// begin with the destination MAC and have no frame check sequence.
//
// Errors: only what is built by the caller (networks, plugs, records) can fail, with -1 and *e. A
// frame never fails; one that is not delivered is counted at its plug under a reason.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/parse.h"

struct vnet;

#define VNET_NEVER UINT64_MAX

enum {
    VNET_MTU_MAX = 9216,                // bytes after the Ethernet header
    VNET_FRAME_MAX = 14 + VNET_MTU_MAX, // longer ones are dropped
    VNET_NETWORKS_MAX = 255,            // their routers' MACs end in their number
    VNET_CLIENT_ID_MAX = 255,           // bytes of a DHCP client identifier (RFC 2132, 9.14)
    VNET_LABEL_MAX = 63,                // characters of a host's name (RFC 1035, 2.3.4)
};

struct ip6 {
    uint8_t octet[16];
};

// Why a frame went nowhere; vnet_drop_name() and vnet_drop_why() have the words.
enum vnet_drop {
    VNET_DROP_SHORT_FRAME,
    VNET_DROP_LONG_FRAME,
    VNET_DROP_BAD_SOURCE,
    VNET_DROP_ETHERTYPE,
    VNET_DROP_STOLEN_MAC,
    VNET_DROP_TOO_MANY_MACS,
    VNET_DROP_SAME_PLUG,
    VNET_DROP_NOBODY,
    VNET_DROP_NO_BUFFER,
    VNET_DROP_QUEUE_FULL,
    VNET_DROP_LINK_DOWN,
    VNET_DROP_BAD_ARP,
    VNET_DROP_BAD_IPV4,
    VNET_DROP_MARTIAN,
    VNET_DROP_LINK_BROADCAST,
    VNET_DROP_SOURCE_ROUTE,
    VNET_DROP_FRAGMENT,
    VNET_DROP_TTL,
    VNET_DROP_NO_ROUTE,
    VNET_DROP_NO_NEIGHBOUR,
    VNET_DROP_TOO_BIG,
    VNET_DROP_NO_PROTOCOL,
    VNET_DROP_BAD_ICMP,
    VNET_DROP_BAD_UDP,
    VNET_DROP_BAD_TCP,
    VNET_DROP_NO_PORT,
    VNET_DROP_BAD_DHCP,
    VNET_DROP_NO_ADDRESS,
    VNET_DROP_BAD_IPV6,
    VNET_DROP_BAD_NDP,
    VNET_DROP_BAD_DNS,
    VNET_DROP_DNS_FAULT,
    VNET_DROP_NAT_FILTERED,
    VNET_DROP_NAT_FULL,
    VNET_DROP_NAT_PROTOCOL,
    VNET_DROP_COUNT
};

const char *vnet_drop_name(enum vnet_drop drop); // "stolen-mac"
const char *vnet_drop_why(enum vnet_drop drop);  // a sentence without its full stop

// What a lab may grow to. All of it is reserved by vnet_new() and vnet_add_network(): a frame
// allocates nothing.
struct vnet_limits {
    uint32_t networks;      // at most VNET_NETWORKS_MAX
    uint32_t plugs;         // of all networks together
    uint32_t macs_per_plug; // source addresses learned
    uint32_t leases;        // DHCP clients remembered, per network
    uint32_t neighbours;    // hosts whose MACs a router remembers, per network
    uint32_t mappings;      // of a network's NAT
    uint32_t small_frames;  // buffers of 256 bytes,
    uint32_t frames;        // of 2048 bytes,
    uint32_t jumbo_frames;  // and of VNET_FRAME_MAX
    uint32_t deliveries;    // (frame, link) pairs on their way: a broadcast is many
};
extern const struct vnet_limits vnet_default_limits;

enum vnet_nat {
    VNET_NAT_NONE, // routed: others reach the LAN's addresses themselves
    VNET_NAT_EASY, // endpoint-independent mapping, address and port-dependent filtering (RFC 4787)
};

struct vnet_network {
    const char *name;       // an id (base/parse.h); copied
    uint32_t router;        // the router's address: gateway, DNS and DHCP server. 0: no IPv4
    uint8_t prefix;         // length of the LAN's prefix, 8 to 30
    struct ip6 router6;     // the router's global address; it is fe80::1, too
    uint8_t prefix6;        // 64, which SLAAC needs (RFC 4862, 5.5.3). 0: no IPv6
    uint32_t wan;           // the router's address on its uplink; 0: none
    enum vnet_nat nat;      // other than NONE needs `wan`
    uint16_t mtu;           // of the LAN, told to its guests: 576 (with IPv6 1280) to VNET_MTU_MAX
    uint16_t wan_mtu;       // of the uplink, likewise; 0: that of the LAN
    uint32_t lease_seconds; // of DHCP, at least 1
    const char *domain;     // the clients' domain name; NULL: none; at most 253; copied
    uint16_t ra_seconds;    // between router advertisements, 4 to 1800; 0: 198 to 600 at random
    bool ra_managed;        // M flag (RFC 4861, 4.2)
    bool ra_other;          // O flag
    bool transparent;       // the switch carries every ethertype
    bool no_flood;          // a frame for a MAC that nobody has is dropped, not flooded
};

// The conditions of one direction of a plug.
struct vnet_link {
    uint64_t delay; // ns
    uint32_t queue; // frames it holds at most; 0: as many as the lab's limits let it
    bool down;      // loses everything
};
enum vnet_direction { VNET_UP, VNET_DOWN }; // from the guest, to the guest

struct vnet_plug {
    const char *name; // an id, for traces; copied
    unsigned network;
    struct vnet_link link[2]; // by direction
};

// Frames to or from a plug, seen from the guest's side of it: `in` is what the guest sent. Of a
// network: what its router got from its uplink (`in`) and sent into it (`out`).
//
// They add up: a frame from one guest to another is counted once more where it ends, under
// frames_out or a reason, so that of such frames all plugs' frames_in is the sum of their
// frames_out and drops once nothing is on its way. A flooded frame comes out several times, the
// routers have frames of their own, and what was on its way to a plug that was removed ends
// nowhere.
struct vnet_counters {
    uint64_t frames_in, bytes_in, frames_out, bytes_out;
    // What the guest sent and the switch or its router refused, and (queue-full, link-down) what it
    // was to get. A broadcast that reached the other plugs and that the router refused counts too.
    // What a router refuses of that which comes from elsewhere is counted at its network.
    uint64_t drops[VNET_DROP_COUNT];
    uint64_t nat_evicted; // sessions of a network's NAT that ended early to make room
};

// A frame for a guest, in a buffer of the lab. Whoever needs it longer than the callback lasts
// holds it, and so takes a buffer away from the lab until it is released.
struct frame;
const uint8_t *vnet_frame_data(const struct frame *f);
size_t vnet_frame_size(const struct frame *f);
void vnet_hold(struct frame *f);
void vnet_release(struct vnet *v, struct frame *f);

// A port of a guest.
struct vnet_guest {
    unsigned network;
    uint32_t address;
    uint16_t port;
};

// What a lab tells its owner, and asks it. No callback may call into the lab, but for the four
// functions above, and those that look only.
struct vnet_owner {
    // A frame for the guest at `plug`.
    void (*output)(void *arg, unsigned plug, struct frame *f);

    // NULL: not asked for. Every frame once at each plug it passes, at lab time `at`: when it comes
    // out of the plug's up link (VNET_UP), with the reason for which it went no further, or -1;
    // when it comes out of the down link (VNET_DOWN, -1) or is refused by it.
    void (*trace)(void *arg, uint64_t at, unsigned plug, enum vnet_direction direction, int drop,
                  const uint8_t *frame, size_t n);

    // A frame for the egress, see vnet_set_egress().
    void (*egress)(void *arg, struct frame *f);

    // NULL: to nobody. To whom a new connection of this protocol leads that comes to this port of
    // the lab itself, see VNET_EGRESS_PORTS; false: to nobody, as it is told.
    bool (*guest)(void *arg, uint8_t protocol, uint16_t port, struct vnet_guest *out);

    // See vnet_dns_query().
    void (*dns_answer)(void *arg, uint64_t token, const uint8_t *message, size_t n);

    // NULL: never. A MAC that is known at plug `owner` has sent a frame from plug `claimant`:
    // whether it is the claimant's now, because the owner is dead or the lab allows it.
    bool (*may_take)(void *arg, struct mac mac, unsigned owner, unsigned claimant);

    void *arg;
};

// The seed decides whatever is random in a lab.
struct vnet *vnet_new(const struct vnet_limits *limits, uint64_t seed,
                      const struct vnet_owner *owner);
void vnet_free(struct vnet *v);

// Returns the network's number: 0, 1, … Its router's MAC is 52:ee:ee:ee:ee:NN, NN being the number
// plus one. ERR_USAGE for a value outside its range, ERR_EXISTS for a name, a LAN (unless behind a
// NAT) or a WAN address that is taken.
int vnet_add_network(struct vnet *v, const struct vnet_network *n, struct err *e);
const struct vnet_counters *vnet_network_counters(const struct vnet *v, unsigned network);

// A host that is always there and has this name and address: DHCP gives the address to the MAC and
// to nobody else, and DNS knows the name, alone and with the network's domain. A MAC
// 52:cc:cc:cc:cc:NN with NN up to 99 has the address that ends in 100+NN without this.
// `address` 0: that address, or the first that DHCP gives it; `address6` all zero: none. In other
// networks DNS knows it with the domain, but no address that is behind a NAT.
struct vnet_node {
    const char *name;
    unsigned network;
    struct mac mac;
    uint32_t address;
    struct ip6 address6;
};
int vnet_add_node(struct vnet *v, const struct vnet_node *n, struct err *e);

// A host of the internet between the networks: it answers pings. One of the addresses is set.
int vnet_add_host(struct vnet *v, uint32_t address, const struct ip6 *address6, struct err *e);

// The way out of the lab. IPv4 packets for addresses that no network and no host has go to the
// egress (vnet_owner.egress), behind Ethernet headers of which only the ethertype means anything,
// and what it sends comes in by vnet_egress_input(). A NAT of the lab's (endpoint-independent
// mapping, address and port-dependent filtering) lies between: the egress sees one host,
// VNET_EGRESS_LAB.
#define VNET_EGRESS_NETWORK 0xc0000000u // 192.0.0.0/29, which nobody routes (RFC 7335)
#define VNET_EGRESS_PREFIX 29
#define VNET_EGRESS_RESOLVER 0xc0000001u
#define VNET_EGRESS_LAB 0xc0000002u
#define VNET_EGRESS_DNS 0xc0000005u // TCP for network N's DNS server comes to port 32768 + N
#define VNET_EGRESS_DNS_PORT 32768
#define VNET_EGRESS_ROUTER 0xc0000004u // the lab itself
// What the egress sends to its ports from 1 to this (TCP, UDP) is for guests (vnet_owner.guest); to
// them it comes from their router.
#define VNET_EGRESS_PORTS 256
struct vnet_egress {
    bool open;     // to all addresses; else to services only
    bool resolves; // names that the lab does not know: a DNS server is at VNET_EGRESS_RESOLVER
    uint16_t mtu;  // 576 to VNET_MTU_MAX
};
// Again: changes it.
void vnet_set_egress(struct vnet *v, const struct vnet_egress *egress);
// From now on what is for this port (`protocol`: 6, TCP, or 17, UDP) of a host of the internet,
// which is added where there is none, goes to the egress.
int vnet_add_service(struct vnet *v, uint8_t protocol, uint32_t address, uint16_t port,
                     struct err *e);
// A DNS query to the server of this network that came otherwise than in frames, as over TCP. Its
// answer has up to 64 KiB and goes to vnet_owner.dns_answer with the token, which is not 0, now or
// later; it may have none.
void vnet_dns_query(struct vnet *v, uint64_t now, unsigned network, uint64_t token,
                    const uint8_t *query, size_t n);
// As vnet_input(), from the egress.
void vnet_egress_input(struct vnet *v, uint64_t now, const uint8_t *frame, size_t n);
// Of the way out: `in` is what the egress sent.
const struct vnet_counters *vnet_egress_counters(const struct vnet *v);

// What the routers' DNS servers answer beside nodes, routers and DHCP clients' names. A and AAAA
// bring their PTR. Several of a name make a set; a CNAME must be alone.
enum vnet_record_type { VNET_A, VNET_AAAA, VNET_CNAME, VNET_TXT };
enum { VNET_EVERYWHERE = -1 };
struct vnet_record {
    int network;      // whose router answers it; VNET_EVERYWHERE
    const char *name; // case does not matter; a final dot neither
    enum vnet_record_type type;
    uint32_t a;
    struct ip6 aaaa;
    const char *text; // of CNAME: a name; of TXT: up to 255 bytes
};
int vnet_add_record(struct vnet *v, const struct vnet_record *r, struct err *e);

// What a network's DNS server does to every query, from now on.
enum vnet_dns_fault {
    VNET_DNS_OK,
    VNET_DNS_SILENT,
    VNET_DNS_SERVFAIL,
    VNET_DNS_REFUSED,
    VNET_DNS_NXDOMAIN,
    VNET_DNS_TRUNCATED, // no records and the TC flag: "ask by TCP"
    VNET_DNS_FAULT_COUNT
};
const char *vnet_dns_fault_name(enum vnet_dns_fault fault); // "servfail"
void vnet_set_dns_fault(struct vnet *v, unsigned network, enum vnet_dns_fault fault);

// A DHCP client's address. Times are the lab's; `until` in the past: it has ended.
struct vnet_lease {
    uint32_t address;
    struct mac mac;
    uint64_t until;
    uint8_t id_length;
    uint8_t id[VNET_CLIENT_ID_MAX];
    char host[VNET_LABEL_MAX + 1]; // a node's name, else the one that the client gave itself
                                   // (option 12); "": none, or no label, or another's
};
// Grows with every change to any lease: what was written down before is out of date.
uint64_t vnet_lease_changes(const struct vnet *v);
// The i-th record of a network's table (0 to limits.leases-1); false: it is unused.
bool vnet_lease(const struct vnet *v, unsigned network, unsigned i, struct vnet_lease *out);
// Puts a lease of an earlier life back; one that makes no sense any more is refused.
int vnet_restore_lease(struct vnet *v, unsigned network, const struct vnet_lease *l, struct err *e);

// Returns the plug's number, which is used again after its removal. It comes at the time of the
// last vnet_input() or vnet_advance(), and the router's first advertisements soon after.
int vnet_add_plug(struct vnet *v, const struct vnet_plug *plug, struct err *e);
// The MACs that were the plug's are free to appear elsewhere; frames on their way to it are lost.
void vnet_remove_plug(struct vnet *v, unsigned plug);
// From now on; frames that are on their way arrive at the times they had.
void vnet_set_link(struct vnet *v, unsigned plug, enum vnet_direction direction,
                   const struct vnet_link *link);
const struct vnet_link *vnet_link(const struct vnet *v, unsigned plug,
                                  enum vnet_direction direction);
// Of a plug that is there, until its removal.
const struct vnet_counters *vnet_counters(const struct vnet *v, unsigned plug);
// The MACs that were seen at a plug; returns how many, at most `max` are written.
unsigned vnet_macs(const struct vnet *v, unsigned plug, struct mac *out, unsigned max);

// The IPv4 address of the host with this MAC: a node's, that of its lease, or one it spoke from; 0:
// none is known.
uint32_t vnet_address(const struct vnet *v, unsigned network, struct mac mac);

// A frame from the guest at `plug`, which must be there. Calls no output: what comes of the frame
// waits for vnet_advance().
void vnet_input(struct vnet *v, uint64_t now, unsigned plug, const uint8_t *frame, size_t n);

// When vnet_advance() has something to do; VNET_NEVER: not before the next vnet_input().
uint64_t vnet_next(const struct vnet *v);

// Does everything whose time has come, in the order of the times.
void vnet_advance(struct vnet *v, uint64_t now);
