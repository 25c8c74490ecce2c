// libslirp, which ends the lab's connections and opens the host's: an instance, and its place in a
// poll(2) loop.
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct egress_message;
struct outbox;
struct translation;
struct stack;

// Frames for the lab go to `out`; `bursts`: dozens of a connection's at once, where it helps.
struct stack *stack_new(unsigned mtu, bool bursts, struct translation *t, struct outbox *out);
void stack_free(struct stack *s);

// The connections to this address and port of the lab's go to a unix socket.
int stack_add_path(struct stack *s, uint32_t address, uint16_t port, const char *path,
                   struct err *e);

// The connections (TCP), or datagrams (UDP), that come to a socket of the host go to a port of
// VNET_EGRESS_ROUTER, until the address and port it has are removed. The descriptor stays the
// caller's.
int stack_add_inlet(struct stack *s, const struct egress_message *inlet, int fd, struct err *e);
void stack_remove_inlet(struct stack *s, const struct egress_message *inlet);

// A frame of the lab's. It is held until the next one that is not its continuation (join.h), or
// stack_pass().
void stack_input(struct stack *s, const uint8_t *frame, size_t n);
void stack_pass(struct stack *s);

// How many connections and datagrams were refused because no descriptor was left.
uint64_t stack_refused(const struct stack *s);

// What poll(2) is to wait for: first the caller's own `n`, then the stack's; good until the next
// call. Lowers the timeout (ms; -1: for ever).
struct pollfd *stack_fill(struct stack *s, const struct pollfd *own, nfds_t n, nfds_t *count,
                          int *timeout);
// After poll(2).
void stack_serve(struct stack *s, bool failed);
