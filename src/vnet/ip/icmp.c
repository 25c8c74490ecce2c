// Answers pings, all of them, and tells senders why a packet of theirs went nowhere, so many times
// a second. Every other message, an error above all, has no answer (RFC 1122, 3.2.2).
#include "vnet/ip/icmp.h"

#include "vnet/ip/checksum.h"
#include "vnet/ip/internet.h"
#include "vnet/ip/ipv4.h"
#include "vnet/nat/nat.h"
#include "vnet/switch/ethernet.h"

enum { ECHO_REPLY = 0, ECHO_REQUEST = 8, TIMESTAMP = 13, ADDRESS_MASK_REPLY = 18 };
enum {
    ERROR_MAX = 576, // RFC 1812, 4.3.2.3
    ERROR_QUOTE = ERROR_MAX - IPV4_HEADER - ICMP_HEADER,
    ERROR_SERVICE = 0x45c0, // version, header length, precedence 6 (4.3.2.5)
};

static void send(struct packet *p, struct frame *f, size_t start)
{
    patch16(f, start + 2, checksum_finish(checksum_add(0, written(f, start))));
    ipv4_send(p, f);
}

static void echo(struct packet *p, struct bytes message)
{
    struct frame *f = ipv4_begin(p, p->from_mac, p->to, p->from, PROTOCOL_ICMP, message.n);
    if (!f)
        return;
    size_t start = f->n;
    put16(f, ECHO_REPLY << 8);
    put16(f, 0); // checksum
    put(f, message.at + 4, message.n - 4);
    send(p, f, start);
}

void icmp_input(struct packet *p, struct bytes message)
{
    if (message.n < ICMP_HEADER || checksum_finish(checksum_add(0, message)) != 0)
        drop(p, VNET_DROP_BAD_ICMP);
    else if (get16(message, 0) == ECHO_REQUEST << 8 && ipv4_is_own(p))
        echo(p, message); // a ping to the broadcast address has none (3.2.2.6)
}

// A type that is not known might be one.
bool icmp_is_error(struct bytes message)
{
    unsigned type = get8(message, 0);
    return message.n == 0 || !(type == ECHO_REPLY || type == ECHO_REQUEST ||
                               (type >= TIMESTAMP && type <= ADDRESS_MASK_REPLY));
}

bool icmp_is_request(struct bytes message)
{
    return get8(message, 0) == ECHO_REQUEST;
}

// RFC 1812, 4.3.2.7: never about an error, nor to or about more than one host, nor twice about a
// fragmented packet. Nor about the router's own.
static bool may_have_error(const struct packet *p)
{
    size_t header = 4 * (size_t)(get8(p->ip, 0) & 15);
    uint32_t from = get32(p->ip, IPV4_FROM);
    uint32_t to = get32(p->ip, IPV4_TO);
    if (header > p->ip.n || from == p->network->is.router ||
        (get16(p->ip, IPV4_FRAGMENT) & IPV4_OFFSET))
        return false;
    if (get8(p->ip, IPV4_PROTOCOL) == PROTOCOL_ICMP &&
        icmp_is_error((struct bytes){p->ip.at + header, p->ip.n - header}))
        return false;
    return from >> 24 != 0 && from >> 24 != 127 && from >> 28 < 0xe && to >> 28 != 0xe &&
           !ipv4_is_broadcast(p->network, from) && !ipv4_is_broadcast(p->network, to) &&
           !mac_is_group(p->to_mac);
}

void icmp_error(struct packet *p, unsigned type_and_code, uint32_t info)
{
    struct bucket *bucket = p->host ? &p->host->errors : &p->network->errors;
    struct bytes quote = {p->ip.at, p->ip.n < ERROR_QUOTE ? p->ip.n : ERROR_QUOTE};
    if (!may_have_error(p) || !bucket_take(bucket, p->v->now, ERROR_INTERVAL, ERROR_BURST))
        return;
    struct frame *f = ipv4_begin(p, p->from_mac, ipv4_answer_from(p), get32(p->ip, IPV4_FROM),
                                 PROTOCOL_ICMP, ICMP_HEADER + quote.n);
    if (!f)
        return;
    size_t start = f->n;
    patch16(f, ETHERNET_HEADER, ERROR_SERVICE);
    put16(f, type_and_code);
    put16(f, 0); // checksum
    put32(f, info);
    put(f, quote.at, quote.n);
    if (p->network->nat && !p->plug && !p->host)
        nat_quote(p, f, start);
    send(p, f, start);
}

void icmp_no_neighbour(struct packet *p, struct bytes packet)
{
    p->ip = packet;
    icmp_error(p, ICMP_HOST_UNREACHABLE, 0);
}
