// The programmable network's core: Ethernet frames in, Ethernet frames out, at their times.
//
// A lab is a value. It has no socket, no clock and no thread: whoever holds it passes in frames and
// the time, and gets frames back through a callback. The same networks, plugs, seed and inputs at
// the same times give the same output, byte for byte.
//
//     struct vnet *v = vnet_new(&vnet_default_limits, seed, output, arg);
//     int home = vnet_add_network(v, &(struct vnet_network){…}, &e);
//     int plug = vnet_add_plug(v, home, &e);
//     vnet_input(v, now, plug, frame, n);
//     while (vnet_next(v) <= now)
//         vnet_advance(v, now);
//
// A network is an Ethernet switch with plugs, and a router on it that answers ARP, pings and DHCP
// for its own address. Nothing passes from one network to another yet.
//
// Units: times are nanoseconds of a clock that the caller chooses; one that runs backwards is taken
// to stand still. IPv4 addresses are numbers in host byte order (192.168.0.1 is 0xc0a80001). Frames
// begin with the destination MAC and have no frame check sequence.
//
// Errors: only what is built by the caller (networks, plugs) can fail, with -1 and *e. A frame
// never fails; one that is not delivered is counted at its plug under a reason.
#pragma once

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
    VNET_DROP_BAD_ARP,
    VNET_DROP_BAD_IPV4,
    VNET_DROP_MARTIAN,
    VNET_DROP_LINK_BROADCAST,
    VNET_DROP_FRAGMENT,
    VNET_DROP_TTL,
    VNET_DROP_NO_ROUTE,
    VNET_DROP_NO_PROTOCOL,
    VNET_DROP_BAD_ICMP,
    VNET_DROP_BAD_UDP,
    VNET_DROP_NO_PORT,
    VNET_DROP_BAD_DHCP,
    VNET_DROP_NO_ADDRESS,
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
    uint32_t small_frames;  // buffers of 256 bytes,
    uint32_t frames;        // of 2048 bytes,
    uint32_t jumbo_frames;  // and of VNET_FRAME_MAX
    uint32_t deliveries;    // (frame, plug) pairs on their way: a broadcast is many
};
extern const struct vnet_limits vnet_default_limits;

struct vnet_network {
    const char *name;       // an id (base/parse.h); copied
    uint32_t router;        // the router's address: gateway, DNS and DHCP server to its clients
    uint8_t prefix;         // length of the LAN's prefix, 8 to 30
    uint16_t mtu;           // told to DHCP clients: 576 to VNET_MTU_MAX
    uint32_t lease_seconds; // of DHCP, at least 1
    const char *domain;     // the DHCP clients' domain name; NULL: none; at most 253; copied
};

// Frames to or from a plug, seen from the guest's side of it: `in` is what the guest sent.
struct vnet_counters {
    uint64_t frames_in, bytes_in, frames_out, bytes_out;
    // What the guest sent and the switch or the router refused, and (queue-full) what it was to
    // get. A broadcast that reached the other plugs and that the router refused counts too.
    uint64_t drops[VNET_DROP_COUNT];
};

// A frame for the guest at `plug`. It belongs to the lab; the callback may not call into the lab.
typedef void vnet_output(void *arg, unsigned plug, const uint8_t *frame, size_t n);

// The seed decides whatever is random in a lab.
struct vnet *vnet_new(const struct vnet_limits *limits, uint64_t seed, vnet_output *output,
                      void *arg);
void vnet_free(struct vnet *v);

// Returns the network's number: 0, 1, … Its router's MAC is 52:ee:ee:ee:ee:NN, NN being the number
// plus one. ERR_USAGE for a value outside its range, ERR_EXISTS for a name that is taken.
int vnet_add_network(struct vnet *v, const struct vnet_network *n, struct err *e);

// Returns the plug's number, which is used again after its removal.
int vnet_add_plug(struct vnet *v, unsigned network, struct err *e);

// The MACs that were the plug's are free to appear elsewhere; frames on their way to it are lost.
void vnet_remove_plug(struct vnet *v, unsigned plug);

// A frame from the guest at `plug`, which must be there. Calls nothing back: what comes of the
// frame waits for vnet_advance().
void vnet_input(struct vnet *v, uint64_t now, unsigned plug, const uint8_t *frame, size_t n);

// When vnet_advance() has something to do; VNET_NEVER: not before the next vnet_input().
uint64_t vnet_next(const struct vnet *v);

// Hands out all frames whose time has come, in the order of their times.
void vnet_advance(struct vnet *v, uint64_t now);

// Of a plug that is there, until its removal.
const struct vnet_counters *vnet_counters(const struct vnet *v, unsigned plug);
