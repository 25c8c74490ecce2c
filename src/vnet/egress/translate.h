// What passes between the lab and the host, and with which addresses: the policy, and forwards from
// the lab's addresses to the host's. Pure: packets in, packets out.
//
// A forward's packets get the host's address and port as their destination. Where several lead to
// one of those, their answers are told from each other by the lab's address: each has another.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vnet/egress/message.h"
#include "vnet/vnet.h"

// VNET_EGRESS_NETWORK, as libslirp knows it.
#define EGRESS_MASK 0xfffffff8u
#define EGRESS_SLIRP (VNET_EGRESS_NETWORK + 1)
#define EGRESS_PATHS (VNET_EGRESS_NETWORK + 6) // its ports are forwards to unix sockets
#define EGRESS_LAST (VNET_EGRESS_NETWORK + 7)
#define EGRESS_LOOPBACK 0x7f000001u

enum { FORWARDS_MAX = 512, FRAGMENTS_MAX = 32 };

struct forward {
    uint8_t protocol;
    uint16_t lab_port, host_port;
    uint32_t lab, host;
    uint32_t as; // the lab's address towards the host
};

struct translation {
    bool open;
    unsigned network_count; // of the host's own
    struct {
        uint32_t address, mask;
    } networks[EGRESS_NETWORKS_MAX];
    struct forward forwards[FORWARDS_MAX];
    unsigned forward_count;
    struct forward *resolver; // one of them, or NULL
    // First fragments of forwards, by what the others have too.
    struct {
        uint32_t from, to;
        uint16_t id;
        const struct forward *forward;
    } fragments[FRAGMENTS_MAX];
    unsigned next_fragment;
};

// NULL: there is no room for it, or it leads where as many do as can be told from each other.
struct forward *translation_add(struct translation *t, const struct forward *f);

// Where the lab's DNS queries go, from now on; host 0: nowhere.
void translation_resolve(struct translation *t, uint32_t host, uint16_t port);

enum verdict { PASS, DENIED };

// A frame of the lab's, from the lab; an IPv4 packet. Changed to what libslirp is to get.
enum verdict translate_out(struct translation *t, uint8_t *frame, size_t n);
// The other way round.
void translate_in(struct translation *t, uint8_t *frame, size_t n);
