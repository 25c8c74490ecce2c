// Fuzzes what comes over the egress' channel, on both sides: messages, frames of the lab and of the
// host. An input is a row of datagrams: a direction (bit 0), a length in two bytes, the datagram.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vnet/egress/fragment.h"
#include "vnet/egress/join.h"
#include "vnet/egress/message.h"
#include "vnet/egress/mss.h"
#include "vnet/egress/refusal.h"
#include "vnet/egress/split.h"
#include "vnet/egress/translate.h"
#include "vnet/vnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void prepare(struct translation *t)
{
    const struct forward forwards[] = {
        {.protocol = 17, .lab = 0x05000001, .lab_port = 53, .host = 0x7f000001, .host_port = 53},
        {.protocol = 6, .lab = 0x05000001, .lab_port = 80, .host = 0x7f000001, .host_port = 80},
    };
    for (size_t i = 0; i < sizeof forwards / sizeof *forwards; i++)
        translation_add(t, &forwards[i]);
    translation_resolve(t, 0x7f000035, 53);
    t->open = true;
}

static void output(void *arg, unsigned plug, struct frame *f)
{
}

// What goes out of the lab: a frame that the next one may continue.
struct held {
    struct translation *t;
    struct mss *mss;
    size_t n;
    uint8_t *frame;
};

static void pass(struct held *h)
{
    uint8_t refusal[REFUSAL_MAX];
    mss_out(h->mss, h->frame, h->n);
    if (h->n > 0 && translate_out(h->t, h->frame, h->n) == DENIED)
        refusal_write(refusal, h->frame, h->n);
    free(h->frame);
    h->frame = NULL;
    h->n = 0;
}

static void egress(void *arg, struct frame *f)
{
    struct held *h = arg;
    size_t n = vnet_frame_size(f);
    uint8_t *room = malloc(h->n + n); // of the exact size
    if (h->n > 0)
        memcpy(room, h->frame, h->n);
    size_t joined = join_segment(room, h->n, h->n + n, vnet_frame_data(f), n);
    if (joined == 0) {
        pass(h);
        memcpy(room, vnet_frame_data(f), n);
    }
    free(h->frame);
    h->frame = room;
    h->n = joined ? joined : n;
}

static bool guest(void *arg, uint8_t protocol, uint16_t port, struct vnet_guest *out)
{
    *out = (struct vnet_guest){.address = 0xc0a80064 + port, .port = 80};
    return protocol == 6 || port > 1;
}

static struct vnet *lab(struct held *h)
{
    const struct vnet_network net = {
        .name = "net", .router = 0xc0a80001, .prefix = 24, .mtu = 1500, .lease_seconds = 60};
    struct vnet_limits limits = vnet_default_limits;
    struct err e;
    limits.networks = 1;
    limits.plugs = 1;
    limits.leases = limits.neighbours = limits.mappings = 4;
    limits.small_frames = limits.frames = limits.jumbo_frames = limits.deliveries = 16;
    struct vnet *v = vnet_new(
        &limits, 1,
        &(struct vnet_owner){.output = output, .egress = egress, .guest = guest, .arg = h});
    if (vnet_add_network(v, &net, &e) < 0 ||
        vnet_add_plug(v, &(struct vnet_plug){.name = "a"}, &e) < 0)
        abort();
    vnet_set_egress(v, &(struct vnet_egress){.open = true, .resolves = true, .mtu = 1500});
    return v;
}

// What libslirp says, whole or in parts.
static void from_host(struct vnet *v, const struct held *h, uint8_t *data, size_t n)
{
    struct split whole;
    struct fragment packet;
    uint8_t part[VNET_FRAME_MAX];
    size_t size;
    if (!split_begin(&whole, data, n) && fragment_begin(&packet, data, n, 600)) {
        while ((size = fragment_size(&packet)) > 0) {
            fragment_take(&packet, part);
            translate_in(h->t, part, size);
            vnet_egress_input(v, 0, part, size);
        }
        return;
    }
    if (!split_begin(&whole, data, n)) {
        translate_in(h->t, data, n);
        mss_in(h->mss, data, n);
        vnet_egress_input(v, 0, data, n);
        return;
    }
    translate_in(h->t, whole.head, sizeof whole.head);
    whole.most = mss_find(h->mss, whole.head, sizeof whole.head);
    for (uint16_t id = 0; (size = split_size(&whole)) > 0; id++) {
        split_take(&whole, part, id);
        vnet_egress_input(v, 0, part, size);
    }
}

static void one(struct vnet *v, const struct held *h, bool from_lab, uint8_t *data, size_t n)
{
    struct egress_message m;
    egress_read(data, n, &m);
    if (from_lab) {
        vnet_input(v, 0, 0, data, n);
    } else {
        from_host(v, h, data, n);
    }
    vnet_advance(v, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct translation *t = calloc(1, sizeof *t);
    struct held held = {.t = t, .mss = mss_new(1500, true)};
    struct vnet *v = lab(&held);
    prepare(t);
    while (size >= 3) {
        bool from_lab = data[0] & 1;
        size_t n = (size_t)data[1] << 8 | data[2];
        if (n > size - 3)
            n = size - 3;
        uint8_t *exact = malloc(n ? n : 1); // a read beyond it shows
        memcpy(exact, data + 3, n);
        one(v, &held, from_lab, exact, n);
        free(exact);
        data += 3 + n;
        size -= 3 + n;
    }
    pass(&held);
    mss_free(held.mss);
    vnet_free(v);
    free(t);
    return 0;
}
