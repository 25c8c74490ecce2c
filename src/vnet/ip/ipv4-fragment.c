// Cuts IPv4 packets into fragments that fit an MTU (RFC 791, 3.2), also one that is a fragment.
#include "vnet/ip/checksum.h"
#include "vnet/ip/icmp.h"
#include "vnet/ip/ipv4.h"
#include "vnet/switch/ethernet.h"

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_COPIED = 0x80 };

bool ipv4_fits(struct packet *p, const struct frame *f, size_t mtu)
{
    struct bytes packet = written(f, ETHERNET_HEADER);
    if (packet.n <= mtu || !(get16(packet, IPV4_FRAGMENT) & IPV4_DONT_FRAGMENT))
        return true;
    drop(p, VNET_DROP_TOO_BIG);
    icmp_error(p, ICMP_FRAGMENTATION_NEEDED, (uint32_t)mtu); // RFC 1191, 4
    return false;
}

// What all fragments but the first have of the options: those that say so.
static void put_copied_options(struct frame *f, struct bytes header)
{
    for (size_t at = IPV4_HEADER; at < header.n;) {
        unsigned kind = get8(header, at);
        size_t length = kind == OPTION_NOP ? 1 : get8(header, at + 1);
        if (kind == OPTION_END || length == 0 || length > header.n - at)
            break;
        if (kind & OPTION_COPIED)
            put(f, header.at + at, length);
        at += length;
    }
    while ((f->n - ETHERNET_HEADER) % 4)
        put8(f, OPTION_END);
}

// A frame with a header for what starts `at` bytes into the payload; NULL: no buffer is left.
static struct frame *begin(struct packet *p, struct mac to_mac, struct bytes header, size_t at,
                           size_t mtu)
{
    struct frame *f = ethernet_begin(p, to_mac, ETHERTYPE_IPV4, mtu);
    if (!f)
        return NULL;
    put(f, header.at, at == 0 ? header.n : IPV4_HEADER);
    if (at > 0)
        put_copied_options(f, header);
    f->data[ETHERNET_HEADER] = (uint8_t)(0x40 | (f->n - ETHERNET_HEADER) / 4);
    return f;
}

static void finish(struct frame *f, unsigned fragment)
{
    struct bytes packet = written(f, ETHERNET_HEADER);
    struct bytes header = {packet.at, 4 * (size_t)(get8(packet, 0) & 15)};
    patch16(f, ETHERNET_HEADER + IPV4_LENGTH, (unsigned)packet.n);
    patch16(f, ETHERNET_HEADER + IPV4_FRAGMENT, fragment);
    patch16(f, ETHERNET_HEADER + IPV4_CHECKSUM, 0);
    patch16(f, ETHERNET_HEADER + IPV4_CHECKSUM, checksum_finish(checksum_add(0, header)));
}

void ipv4_transmit(struct packet *p, struct frame *whole, size_t mtu,
                   void (*send)(struct packet *p, struct frame *f))
{
    struct bytes payload = written(whole, ETHERNET_HEADER);
    struct bytes header;
    if (payload.n <= mtu) {
        send(p, whole);
        return;
    }
    unsigned fragment = get16(payload, IPV4_FRAGMENT);
    if (!pull(&payload, 4 * (size_t)(get8(payload, 0) & 15), &header))
        return;
    for (size_t at = 0; at < payload.n;) {
        struct frame *f = begin(p, get_mac(written(whole, 0), 0), header, at, mtu);
        if (!f)
            return;
        size_t room = (mtu - (f->n - ETHERNET_HEADER)) / 8 * 8;
        size_t part = payload.n - at < room ? payload.n - at : room;
        unsigned more = at + part < payload.n ? IPV4_MORE_FRAGMENTS : 0;
        put(f, payload.at + at, part);
        finish(f, (fragment + (unsigned)(at / 8)) | more);
        send(p, f);
        pool_release(&p->v->pool, f);
        at += part;
    }
}
