// pcapng files (draft-ietf-opsawg-pcapng): blocks put together in memory, and the end of a file
// found. Numbers are in the machine's byte order, which a section header declares.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum {
    PCAPNG_BATCH = 64 << 10,     // full: write it
    PCAPNG_BLOCK_MAX = 10 << 10, // with 256 bytes beside frame or texts
};

// 4.1: what a file begins with, the same in both byte orders, and what tells them apart.
enum { PCAPNG_SECTION_HEADER = 0x0A0D0D0A, PCAPNG_BYTE_ORDER = 0x1A2B3C4D };

// Whole blocks, waiting to be written. While it is not full, one more fits.
struct pcapng {
    size_t n;
    uint8_t data[PCAPNG_BATCH + PCAPNG_BLOCK_MAX];
};
static inline bool pcapng_full(const struct pcapng *p)
{
    return p->n >= PCAPNG_BATCH;
}

// Begins a section: interfaces are numbered from 0 again.
void pcapng_section(struct pcapng *p, const char *os, const char *application);

// An Ethernet interface with times in ns; of longer frames `snap` bytes are kept.
void pcapng_interface(struct pcapng *p, const char *name, const char *description, uint32_t snap);

struct pcapng_packet {
    uint64_t wall; // ns since 1970
    uint32_t interface;
    uint32_t lost; // frames of this interface between the one before and this one
    bool outbound;
    const char *comment; // may be NULL
    const uint8_t *frame;
    uint32_t size, length; // what is kept, what it had
};
void pcapng_packet(struct pcapng *p, const struct pcapng_packet *packet);

// The sums of an interface: of all frames received, how many are lost, which are not in the file.
void pcapng_statistics(struct pcapng *p, uint64_t wall, uint32_t interface, uint64_t received,
                       uint64_t lost);

// How many of the first n bytes are whole blocks.
size_t pcapng_whole(const struct pcapng *p, size_t n);

// Where the last whole block of a file ends; what follows is less than a block. -1 with *e:
// ERR_USAGE where it is no pcapng file of this byte order, ERR_FAILED where it is damaged.
off_t pcapng_end(int fd, struct err *e);
