// Fuzzes the routers' DNS: an input is a query (the rest of a UDP datagram), asked by IPv4 and then
// by IPv6 of a lab with names of every kind. What comes back is an answer, within its limits, and
// every name in it can be read.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vnet/ip/checksum.h"
#include "vnet/services/name.h"
#include "vnet/vnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct vnet_limits limits = {
    .networks = 1,
    .plugs = 1,
    .macs_per_plug = 1,
    .leases = 4,
    .neighbours = 2,
    .mappings = 1,
    .small_frames = 4,
    .frames = 4,
    .jumbo_frames = 2,
    .deliveries = 8,
};

#define HOME 0xc0a80001u
enum { AT_IP = 14, MTU = 1280 };

struct seen {
    unsigned answers;
    const uint8_t *query;
    size_t n;
};

static void require(bool what)
{
    if (!what)
        abort();
}

static void check_records(struct bytes message)
{
    struct name name;
    size_t at = 12;
    for (unsigned i = get16(message, 4); i > 0; i--, at += 4)
        require(name_read(message, &at, &name));
    unsigned records = get16(message, 6) + get16(message, 8) + get16(message, 10);
    for (; records > 0; records--) {
        require(name_read(message, &at, &name));
        at += 10 + get16(message, at + 8);
    }
    require(at == message.n);
}

// Other frames are the router's own: advertisements, who has an address.
static void output(void *arg, unsigned plug, struct frame *f)
{
    struct seen *seen = arg;
    struct bytes ip = {vnet_frame_data(f) + AT_IP, vnet_frame_size(f) - AT_IP};
    size_t header = get8(ip, 0) >> 4 == 6 ? 40 : 20;
    if (get8(ip, header == 40 ? 6 : 9) != 17 || get16(ip, header) != 53)
        return;
    struct bytes message = {ip.at + header + 8, ip.n - header - 8};
    require(plug == 0 && ip.n <= MTU && message.n >= 12 && get8(message, 2) & 0x80);
    require(memcmp(message.at, seen->query, 2) == 0);
    check_records(message);
    seen->answers++;
}

static struct vnet *make(struct seen *seen)
{
    const struct vnet_network home = {.name = "home",
                                      .router = HOME,
                                      .prefix = 24,
                                      .router6 = {{0x20, 0, 0, 0x52, [15] = 1}},
                                      .prefix6 = 64,
                                      .mtu = MTU,
                                      .lease_seconds = 3600,
                                      .domain = "lab.test"};
    const struct vnet_record records[] = {
        {VNET_EVERYWHERE, "x.test", VNET_A, .a = 1},
        {VNET_EVERYWHERE, "x.test", VNET_A, .a = 2},
        {VNET_EVERYWHERE, "x.test", VNET_AAAA, .aaaa = {{0x20}}},
        {0, "t.x.test", VNET_TXT, .text = "text"},
        {0, "c.x.test", VNET_CNAME, .text = "x.test"},
        {0, "loop", VNET_CNAME, .text = "pool"},
        {0, "pool", VNET_CNAME, .text = "loop"},
    };
    const struct vnet_node node = {"web", 0, {{2}}, HOME + 9, {{0}}};
    struct err e;
    struct vnet *v = vnet_new(&limits, 1, &(struct vnet_owner){.output = output, .arg = seen});
    require(vnet_add_network(v, &home, &e) == 0 && vnet_add_node(v, &node, &e) == 0 &&
            vnet_add_plug(v, &(struct vnet_plug){"plug"}, &e) == 0);
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        require(vnet_add_record(v, &records[i], &e) == 0);
    return v;
}

static void set16(uint8_t *at, size_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static void ask(struct vnet *v, const uint8_t *headers, size_t n, size_t length_at,
                const struct seen *seen)
{
    size_t all = n + seen->n;
    uint8_t *frame = malloc(all);
    memcpy(frame, headers, n);
    memcpy(frame + n, seen->query, seen->n);
    set16(frame + n - 4, 8 + seen->n); // of UDP
    if (length_at == 16) {
        set16(frame + 16, all - AT_IP);
        set16(frame + 24, checksum_finish(checksum_add(0, (struct bytes){frame + AT_IP, 20})));
    } else {
        set16(frame + 18, 8 + seen->n);
        uint32_t sum = checksum_add(17 + (uint32_t)(8 + seen->n),
                                    (struct bytes){frame + AT_IP + 8, all - AT_IP - 8});
        uint16_t checksum = checksum_finish(sum);
        set16(frame + n - 2, checksum ? checksum : 0xffff);
    }
    vnet_input(v, 0, 0, frame, all);
    vnet_advance(v, 0);
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t ipv4[] = {
        0x52, 0xee, 0xee, 0xee, 0xee, 1,   2,    0, 0,    0,    0, 0,  8, 0,       // Ethernet
        0x45, 0,    0,    0,    0,    0,   0x40, 0, 64,   17,   0, 0,              // IPv4
        192,  168,  0,    10,   192,  168, 0,    1, 0x14, 0xe9, 0, 53, 0, 0, 0, 0, // UDP
    };
    static const uint8_t ipv6[] = {
        0x52, 0xee, 0xee, 0xee, 0xee, 1,    2,  0,  0, 0, 0, 0, 0x86, 0xdd, // Ethernet
        0x60, 0,    0,    0,    0,    0,    17, 64,                         // IPv6
        0xfe, 0x80, 0,    0,    0,    0,    0,  0,  0, 0, 0, 0, 0,    0,
        0,    2,    0xfe, 0x80, 0,    0,    0,  0,  0, 0, 0, 0, 0,    0,
        0,    0,    0,    1,    0x14, 0xe9, 0,  53, 0, 0, 0, 0, // UDP
    };
    struct seen seen = {.query = data, .n = size};
    if (size > MTU - 48)
        return 0;
    struct vnet *v = make(&seen);
    ask(v, ipv4, sizeof ipv4, 16, &seen);
    ask(v, ipv6, sizeof ipv6, 18, &seen);
    require(seen.answers == (size >= 12 && !(data[2] & 0x80) ? 2 : 0));
    vnet_free(v);
    return 0;
}
