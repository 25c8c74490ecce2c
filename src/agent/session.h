// The agent's side of the protocol: bytes from Host in, answers out. Does no I/O on the port
// itself; main moves the bytes.
#pragma once

#include "agent/commands.h"
#include "agent/nics.h"
#include "agent/set.h"
#include "agent/wire.h"

struct session {
    uint32_t nonce;     // of the open session; 0: Host has not said HELLO yet
    struct nics told;   // what Host knows
    struct nics former; // those given another MAC, as they were: IPv6 follows later
    struct commands commands;
    struct kept kept;
    bool unlogged;            // a SET whose answer is not written yet
    struct set_report report; // its outcome
    struct wire_decoder in;
    size_t out_len; // bytes in out that wait to be written
    unsigned char in_buf[2 * WIRE_FRAME_MAX];
    unsigned char out[2 * WIRE_FRAME_MAX];
};

void session_init(struct session *s);
// Forgets the session and all unsent bytes: the port is a new one.
void session_reset(struct session *s);

// Tells Host that a new agent is there: one that was killed may have left it with a session.
void session_announce(struct session *s);
// Adds what commands have to say, always leaving room for an answer: data must not hold up
// requests.
void session_fill(struct session *s);
// Deals with the requests in s->in for as long as there is room for their answers.
void session_work(struct session *s);
// So much is unsent that no request can be dealt with: read no more.
bool session_is_full(const struct session *s);
// Finishes what a new MAC began, and sends INFO if there is a session and a NIC differs from what
// Host was told. -1: ask later.
int session_nics_changed(struct session *s);
// The first n bytes of s->out are written.
void session_sent(struct session *s, size_t n);
