// Reads DHCP messages with their options wherever they lie, and writes answers with the options
// that were asked for.
#include "vnet/services/dhcp-message.h"

#include "vnet/ip/ipv4.h"
#include "vnet/ip/udp.h"
#include "vnet/services/name.h"

enum {
    HEADER = 236,
    AT_FLAGS = 10,
    AT_CLIENT_ADDRESS = 12,
    AT_RELAY = 24,
    AT_MAC = 28,
    AT_SERVER_NAME = 44,
    AT_FILE = 108,
    BROADCAST = 0x8000,
    BOOT_REQUEST = 1,
    BOOT_REPLY = 2,
    HARDWARE_ETHERNET = 1,
    SIZE_LIMIT_LEAST = 576, // every client takes this much (RFC 2131, 2)
    MESSAGE_LEAST = 300,    // RFC 1542, 2.1
};
#define COOKIE 0x63825363u

enum option {
    OPTION_PAD = 0,
    OPTION_MASK = 1,
    OPTION_ROUTER = 3,
    OPTION_DNS = 6,
    OPTION_HOST = 12,
    OPTION_DOMAIN = 15,
    OPTION_MTU = 26,
    OPTION_REQUESTED = 50,
    OPTION_LEASE = 51,
    OPTION_OVERLOAD = 52,
    OPTION_TYPE = 53,
    OPTION_SERVER = 54,
    OPTION_WANTED = 55,
    OPTION_MESSAGE = 56,
    OPTION_SIZE_LIMIT = 57,
    OPTION_RENEW = 58,
    OPTION_REBIND = 59,
    OPTION_IDENTIFIER = 61,
    OPTION_RELAY_INFO = 82,
    OPTION_END = 255,
};

static void read_option(struct dhcp_query *q, uint8_t code, struct bytes value, uint8_t *overload)
{
    if (code == OPTION_TYPE && value.n == 1)
        q->type = get8(value, 0);
    else if (code == OPTION_OVERLOAD && value.n == 1)
        *overload = get8(value, 0);
    else if (code == OPTION_REQUESTED && value.n == 4)
        q->requested = get32(value, 0);
    else if (code == OPTION_SERVER && value.n == 4)
        q->server = get32(value, 0);
    else if (code == OPTION_SIZE_LIMIT && value.n == 2)
        q->size_limit = get16(value, 0);
    else if (code == OPTION_WANTED)
        q->wanted = value;
    else if (code == OPTION_IDENTIFIER && value.n >= 2)
        q->identifier = value;
    else if (code == OPTION_RELAY_INFO)
        q->relay_info = value;
    else if (code == OPTION_HOST)
        label_read(value, q->client.host);
}

// False where an option is longer than what is left. An end that is missing is forgiven: some
// clients fill the field to its last byte.
static bool read_options(struct dhcp_query *q, struct bytes field, uint8_t *overload)
{
    struct bytes code;
    struct bytes length;
    struct bytes value;
    while (pull(&field, 1, &code) && get8(code, 0) != OPTION_END) {
        if (get8(code, 0) == OPTION_PAD)
            continue;
        if (!pull(&field, 1, &length) || !pull(&field, get8(length, 0), &value))
            return false;
        read_option(q, get8(code, 0), value, overload);
    }
    return true;
}

// The fields of file and server name may hold options too (RFC 2131, 4.1), in this order.
static bool read_all_options(struct dhcp_query *q, struct bytes options)
{
    const struct bytes file = {q->header.at + AT_FILE, HEADER - AT_FILE};
    const struct bytes server_name = {q->header.at + AT_SERVER_NAME, AT_FILE - AT_SERVER_NAME};
    uint8_t overload = 0;
    uint8_t ignored = 0;
    return read_options(q, options, &overload) &&
           (!(overload & 1) || read_options(q, file, &ignored)) &&
           (!(overload & 2) || read_options(q, server_name, &ignored));
}

// Without an identifier the client is known by hardware type and MAC, in the form that most
// clients' identifiers have.
static void read_client(struct dhcp_query *q)
{
    q->client.mac = get_mac(q->header, AT_MAC);
    q->client.id = q->identifier;
    if (q->identifier.n > 0)
        return;
    q->default_identifier[0] = HARDWARE_ETHERNET;
    memcpy(q->default_identifier + 1, q->client.mac.octet, sizeof q->client.mac.octet);
    q->client.id = (struct bytes){q->default_identifier, sizeof q->default_identifier};
}

bool dhcp_read(struct bytes message, struct dhcp_query *q)
{
    struct bytes cookie;
    *q = (struct dhcp_query){0};
    if (!pull(&message, HEADER, &q->header) || !pull(&message, 4, &cookie) ||
        get32(cookie, 0) != COOKIE || get8(q->header, 0) != BOOT_REQUEST ||
        get8(q->header, 1) != HARDWARE_ETHERNET || get8(q->header, 2) != sizeof(struct mac) ||
        (get8(q->header, AT_MAC) & 1) || !read_all_options(q, message))
        return false;
    q->broadcast = get16(q->header, AT_FLAGS) & BROADCAST;
    q->client_address = get32(q->header, AT_CLIENT_ADDRESS);
    q->relay = get32(q->header, AT_RELAY);
    read_client(q);
    return q->type != 0;
}

size_t dhcp_room(const struct dhcp_query *q, const struct network *net)
{
    size_t limit = q->size_limit > SIZE_LIMIT_LEAST ? q->size_limit : SIZE_LIMIT_LEAST;
    return (limit < net->is.mtu ? limit : net->is.mtu) - IPV4_HEADER - UDP_HEADER;
}

// What is written of a message, and where it must end.
struct answer {
    struct frame *f;
    size_t end; // in the frame, without the end option
    const struct network *net;
};

// An option that finds no room is left out; the important ones come first.
static void put_option(const struct answer *a, enum option code, const void *value, size_t n)
{
    if (n == 0 || n > 255 || a->f->n + 2 + n > a->end)
        return;
    put8(a->f, code);
    put8(a->f, (unsigned)n);
    put(a->f, value, n);
}

static void put_option32(const struct answer *a, enum option code, uint32_t v)
{
    const uint8_t value[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    put_option(a, code, value, sizeof value);
}

static void put_mask(const struct answer *a)
{
    put_option32(a, OPTION_MASK, ~(UINT32_MAX >> a->net->is.prefix));
}

static void put_router(const struct answer *a)
{
    put_option32(a, OPTION_ROUTER, a->net->is.router);
}

static void put_dns(const struct answer *a)
{
    put_option32(a, OPTION_DNS, a->net->is.router);
}

static void put_domain(const struct answer *a)
{
    if (a->net->domain)
        put_option(a, OPTION_DOMAIN, a->net->domain, strlen(a->net->domain));
}

static void put_mtu(const struct answer *a)
{
    const uint8_t value[] = {(uint8_t)(a->net->is.mtu >> 8), (uint8_t)a->net->is.mtu};
    put_option(a, OPTION_MTU, value, sizeof value);
}

// What a client may ask for. The mask comes before the router (RFC 2132, 3.3).
static const struct {
    enum option code;
    void (*put)(const struct answer *a);
} parameters[] = {
    {OPTION_MASK, put_mask},     {OPTION_ROUTER, put_router}, {OPTION_DNS, put_dns},
    {OPTION_DOMAIN, put_domain}, {OPTION_MTU, put_mtu},
};
enum { PARAMETERS = sizeof parameters / sizeof *parameters };

// In the client's order (RFC 2131, 4.3.1) but for the mask, each once; all to a client that does
// not say.
static void put_parameters(const struct answer *a, struct bytes wanted)
{
    bool done[PARAMETERS] = {false};
    if (wanted.n == 0 || memchr(wanted.at, OPTION_MASK, wanted.n)) {
        put_mask(a);
        done[0] = true;
    }
    for (size_t w = 0; w < wanted.n; w++) {
        for (size_t i = 0; i < PARAMETERS; i++) {
            if (parameters[i].code != get8(wanted, w) || done[i])
                continue;
            parameters[i].put(a);
            done[i] = true;
        }
    }
    for (size_t i = 1; i < PARAMETERS && wanted.n == 0; i++)
        parameters[i].put(a);
}

static void put_header(struct frame *f, const struct dhcp_query *q, enum dhcp_type type,
                       uint32_t address)
{
    bool nak = type == DHCP_NAK;
    bool broadcast = q->broadcast || (nak && q->relay != 0); // RFC 2131, 4.3.2
    put8(f, BOOT_REPLY);
    put8(f, HARDWARE_ETHERNET);
    put8(f, sizeof(struct mac));
    put8(f, 0);                  // hops
    put(f, q->header.at + 4, 4); // transaction
    put16(f, 0);                 // seconds
    put16(f, broadcast ? BROADCAST : 0);
    put32(f, type == DHCP_ACK ? q->client_address : 0);
    put32(f, address);
    put32(f, 0); // next server
    put32(f, q->relay);
    put(f, q->header.at + AT_MAC, AT_SERVER_NAME - AT_MAC);
    put_zeros(f, HEADER - AT_SERVER_NAME);
}

// When the client asks to go on: T1 and T2 of RFC 2131, 4.4.5.
static void put_lease(const struct answer *a, uint32_t seconds)
{
    put_option32(a, OPTION_LEASE, seconds);
    if (seconds < 8)
        return; // too short to be divided
    put_option32(a, OPTION_RENEW, seconds / 2);
    put_option32(a, OPTION_REBIND, seconds - seconds / 8);
}

// RFC 2131, table 3.
void dhcp_write(struct frame *f, const struct dhcp_query *q, const struct network *net,
                const struct dhcp_reply *r)
{
    size_t start = f->n;
    const struct answer a = {f, start + dhcp_room(q, net) - 1, net};
    const uint8_t type = (uint8_t)r->type;
    put_header(f, q, r->type, r->address);
    put32(f, COOKIE);
    put_option(&a, OPTION_TYPE, &type, sizeof type);
    put_option32(&a, OPTION_SERVER, net->is.router);
    put_option(&a, OPTION_IDENTIFIER, q->identifier.at, q->identifier.n); // RFC 6842
    if (r->lease > 0)
        put_lease(&a, r->lease);
    if (r->message)
        put_option(&a, OPTION_MESSAGE, r->message, strlen(r->message));
    if (r->type != DHCP_NAK)
        put_parameters(&a, q->wanted);
    put_option(&a, OPTION_RELAY_INFO, q->relay_info.at, q->relay_info.n); // RFC 3046, 2.2: last
    put8(f, OPTION_END);
    if (f->n - start < MESSAGE_LEAST)
        put_zeros(f, MESSAGE_LEAST - (f->n - start));
}
