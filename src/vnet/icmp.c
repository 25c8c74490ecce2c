// The router answers pings, all of them. Every other message, an error above all, has no answer
// (RFC 1122, 3.2.2).
#include "vnet/icmp.h"

#include "vnet/checksum.h"
#include "vnet/ethernet.h"
#include "vnet/ipv4.h"

enum { ICMP_HEADER = 8, ECHO_REPLY = 0, ECHO_REQUEST = 8 };

static void echo(struct packet *p, struct bytes message)
{
    struct frame *f = ipv4_begin(p, p->from_mac, p->from, PROTOCOL_ICMP, message.n);
    if (!f)
        return;
    size_t start = f->n;
    put16(f, ECHO_REPLY << 8);
    put16(f, 0); // checksum
    put(f, message.at + 4, message.n - 4);
    patch16(f, start + 2, checksum_finish(checksum_add(0, written(f, start))));
    ipv4_send(p, f);
}

void icmp_input(struct packet *p, struct bytes message)
{
    if (message.n < ICMP_HEADER || checksum_finish(checksum_add(0, message)) != 0)
        drop(p, VNET_DROP_BAD_ICMP);
    else if (get16(message, 0) == ECHO_REQUEST << 8 && p->to == p->network->is.router)
        echo(p, message); // a ping to the broadcast address has none (3.2.2.6)
}
