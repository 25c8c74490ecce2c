// How large a segment each guest takes, as it says when a connection begins (RFC 9293, 3.7.1). What
// libslirp and guests tell each other about it is changed on the way: libslirp makes segments as
// large as it can, and they are cut (split.h).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mss;

// `mtu` is the way out's. `large`: segments are to be.
struct mss *mss_new(unsigned mtu, bool large);
void mss_free(struct mss *m);

// The MTU that libslirp is to have; where segments are to be large, more than the way out's. It
// sends no less than a segment while there is more, and has 64 KiB at most on the way: by halves,
// so that a guest is busy with one while the other is made.
unsigned mss_large_mtu(const struct mss *m);

// A frame from the lab: what a SYN says is remembered, and libslirp told another.
void mss_out(struct mss *m, uint8_t *frame, size_t n);
// A frame to the lab: no SYN says more than the way out takes.
void mss_in(const struct mss *m, uint8_t *frame, size_t n);

// How much a segment to the lab may carry, whose headers these are.
size_t mss_find(const struct mss *m, const uint8_t *head, size_t n);
