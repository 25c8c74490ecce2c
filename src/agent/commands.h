// Commands that run in the guest, and what flows between them and Host: the guest's side of
// streams (wire.h). Frames from Host come in; frames for Host are made when there is room for them.
#pragma once

#include <poll.h>
#include <stdbool.h>

#include "agent/wire.h"

// With jobs, running or finished.
#define COMMANDS_MAX 512
#define COMMANDS_POLL_MAX (3 * COMMANDS_MAX)

struct running;

struct commands {
    struct running *list[COMMANDS_MAX]; // in no order
    unsigned count;
    unsigned next;    // whose turn it is
    unsigned salt;    // part of job names: others than those of the agent before this one
    uint32_t refused; // there was no room for this one; 0: none
};

void commands_init(struct commands *s);
// The session is over: commands end with their sessions, jobs go on.
void commands_end(struct commands *s);

// Kills jobs, too.
void commands_free(struct commands *s);

// False: the frame is of no stream's type.
bool commands_frame(struct commands *s, const struct wire_frame *f);
// What is to be polled, and what poll said.
unsigned commands_poll(const struct commands *s, struct pollfd p[static COMMANDS_POLL_MAX]);
void commands_ready(struct commands *s, const struct pollfd *p, unsigned n);
// After SIGCHLD.
void commands_reap(struct commands *s);
// Frames for Host, as many as there are and fit. Returns their bytes.
size_t commands_fill(struct commands *s, void *buf, size_t cap, uint32_t nonce);
