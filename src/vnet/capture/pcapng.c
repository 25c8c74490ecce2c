// Blocks of pcapng files, as draft-ietf-opsawg-pcapng has them; sections are named from there.
#include "vnet/capture/pcapng.h"

#include <assert.h>
#include <string.h>

enum block_type {
    INTERFACE_DESCRIPTION = 1, // 4.2
    INTERFACE_STATISTICS = 5,  // 4.6
    ENHANCED_PACKET = 6,       // 4.3
};

enum {
    LINKTYPE_ETHERNET = 1,
    // 3.5, and each block's own options
    OPT_END = 0,
    OPT_COMMENT = 1,
    SHB_OS = 3,
    SHB_USERAPPL = 4,
    IF_NAME = 2,
    IF_DESCRIPTION = 3,
    IF_TSRESOL = 9,
    EPB_FLAGS = 2,
    EPB_DROPCOUNT = 4,
    ISB_IFRECV = 4,
    ISB_IFDROP = 5,
};

static void put(struct pcapng *p, const void *data, size_t n)
{
    assert(n <= sizeof p->data - p->n);
    memcpy(p->data + p->n, data, n);
    p->n += n;
}

static void put16(struct pcapng *p, uint16_t value)
{
    put(p, &value, sizeof value);
}

static void put32(struct pcapng *p, uint32_t value)
{
    put(p, &value, sizeof value);
}

// 4.3: the upper half first, whatever the byte order.
static void put_time(struct pcapng *p, uint64_t wall)
{
    put32(p, (uint32_t)(wall >> 32));
    put32(p, (uint32_t)wall);
}

// 3.1, 3.5: bodies and values are filled up to 32 bits, blocks begin at multiples of it.
static void put_padded(struct pcapng *p, const void *data, size_t n)
{
    static const uint8_t zeros[3];
    if (n > 0)
        put(p, data, n);
    put(p, zeros, -n & 3);
}

static void put_option(struct pcapng *p, uint16_t code, const void *value, size_t n)
{
    put16(p, code);
    put16(p, (uint16_t)n);
    put_padded(p, value, n);
}

static void put_text(struct pcapng *p, uint16_t code, const char *text)
{
    put_option(p, code, text, strlen(text));
}

static size_t begin(struct pcapng *p, uint32_t type)
{
    size_t start = p->n;
    put32(p, type);
    put32(p, 0);
    return start;
}

// 3.1: the length stands at both ends of a block.
static void end(struct pcapng *p, size_t start)
{
    uint32_t length = (uint32_t)(p->n + sizeof length - start);
    memcpy(p->data + start + 4, &length, sizeof length);
    put32(p, length);
}

static void end_options(struct pcapng *p, size_t start)
{
    put_option(p, OPT_END, NULL, 0);
    end(p, start);
}

void pcapng_section(struct pcapng *p, const char *os, const char *application)
{
    static const int64_t unknown_length = -1;
    size_t start = begin(p, PCAPNG_SECTION_HEADER);
    put32(p, PCAPNG_BYTE_ORDER);
    put16(p, 1); // version 1.0
    put16(p, 0);
    put(p, &unknown_length, sizeof unknown_length);
    put_text(p, SHB_OS, os);
    put_text(p, SHB_USERAPPL, application);
    end_options(p, start);
}

void pcapng_interface(struct pcapng *p, const char *name, const char *description, uint32_t snap)
{
    static const uint8_t nanoseconds = 9;
    size_t start = begin(p, INTERFACE_DESCRIPTION);
    put16(p, LINKTYPE_ETHERNET);
    put16(p, 0);
    put32(p, snap);
    put_text(p, IF_NAME, name);
    put_text(p, IF_DESCRIPTION, description);
    put_option(p, IF_TSRESOL, &nanoseconds, sizeof nanoseconds);
    end_options(p, start);
}

void pcapng_packet(struct pcapng *p, const struct pcapng_packet *packet)
{
    const uint32_t flags = packet->outbound ? 2 : 1; // 4.3.1; the rest is unknown
    const uint64_t lost = packet->lost;
    size_t start = begin(p, ENHANCED_PACKET);
    put32(p, packet->interface);
    put_time(p, packet->wall);
    put32(p, packet->size);
    put32(p, packet->length);
    put_padded(p, packet->frame, packet->size);
    put_option(p, EPB_FLAGS, &flags, sizeof flags);
    if (lost > 0)
        put_option(p, EPB_DROPCOUNT, &lost, sizeof lost);
    if (packet->comment)
        put_text(p, OPT_COMMENT, packet->comment);
    end_options(p, start);
}

void pcapng_statistics(struct pcapng *p, uint64_t wall, uint32_t interface, uint64_t received,
                       uint64_t lost)
{
    size_t start = begin(p, INTERFACE_STATISTICS);
    put32(p, interface);
    put_time(p, wall);
    put_option(p, ISB_IFRECV, &received, sizeof received);
    put_option(p, ISB_IFDROP, &lost, sizeof lost);
    end_options(p, start);
}

size_t pcapng_whole(const struct pcapng *p, size_t n)
{
    size_t whole = 0;
    uint32_t length;
    while (n - whole >= 12) {
        memcpy(&length, p->data + whole + 4, sizeof length);
        if (length > n - whole)
            break;
        whole += length;
    }
    return whole;
}
