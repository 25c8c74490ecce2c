// TCP segments in frames, without options, for the tests of what joins and cuts them.
#pragma once

#include "vnet-lab.h"

enum { AT_LENGTH = 16, AT_FRAGMENT = 20, AT_TTL = 22, AT_SUM = 24, AT_TCP = 34, AT_DATA = 54 };
enum { ACK = 0x10, PUSH = 8, FIN = 1 };

struct segment {
    uint32_t sequence, ack;
    unsigned flags, window;
    const char *data;
};
#define SEGMENT(...)                                                                               \
    segment(&(struct segment){.sequence = 1000, .ack = 50, .flags = ACK, .window = 9, __VA_ARGS__})

static inline void set(struct wire *w, size_t at, uint32_t v, int bytes)
{
    while (bytes-- > 0) {
        w->at[at + bytes] = (uint8_t)v;
        v >>= 8;
    }
}

static inline uint32_t add(const uint8_t *at, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++)
        sum += (uint32_t)at[i] << (i % 2 ? 0 : 8);
    return sum;
}

static inline unsigned fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static inline unsigned tcp_sum(const struct wire *w)
{
    uint32_t n = (uint32_t)w->n - AT_TCP;
    return fold(add(w->at + AT_TCP, n, add(w->at + 26, 8, 6 + n)));
}

static inline void finish(struct wire *w)
{
    set(w, AT_SUM, 0, 2);
    set(w, AT_SUM, ~fold(add(w->at + 14, 20, 0)), 2);
    set(w, AT_TCP + 16, 0, 2);
    set(w, AT_TCP + 16, ~tcp_sum(w), 2);
}

static inline struct wire segment(const struct segment *s)
{
    struct wire w = {0};
    const char *data = s->data ? s->data : "";
    size_t n = strlen(data);
    hex(&w, MAC_A MAC_ROUTER "0800 4500 0000 1234 4000 40 06 0000 c0000002 cb007105 0fa0 0050");
    w.n = AT_DATA + n;
    set(&w, AT_LENGTH, (uint32_t)w.n - 14, 2);
    set(&w, AT_TCP + 4, s->sequence, 4);
    set(&w, AT_TCP + 8, s->ack, 4);
    set(&w, AT_TCP + 12, 0x5000 | s->flags, 2);
    set(&w, AT_TCP + 14, s->window, 2);
    memcpy(w.at + AT_DATA, data, n);
    finish(&w);
    return w;
}
