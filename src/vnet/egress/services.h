// TCP services of the lab that end in this process: DNS, whose answers the core has, and pages for
// tests. Each has a unix socket without a name, to which libslirp connects; its place in poll(2) is
// among the caller's own.
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct services;

enum { SERVICE_PATH = 32, SERVICES_MAX = 600, SERVICE_CONNS_MAX = 64 };

struct service_hooks {
    // A DNS query to a network's server, whose answer is for services_answer(). False: there will
    // be none.
    bool (*query)(void *arg, unsigned network, uint64_t token, const uint8_t *query, size_t n);
    void *arg;
};

struct services *services_new(const struct service_hooks *hooks);
void services_free(struct services *s);

// A DNS server where `page` is NULL. For a moment there is a socket at `draft`, where whatever is
// there is replaced; `path` is where libslirp finds it.
int services_add(struct services *s, unsigned network, const char *page, const char *draft,
                 char path[static SERVICE_PATH], struct err *e);

// A part of an answer of `size` bytes, beginning at `at`: all come in order, one answer after the
// other.
void services_answer(struct services *s, uint64_t token, size_t size, size_t at,
                     const uint8_t *part, size_t n);

// What to wait for: appended to the `n` in `fds`, which has room for all. Returns how many there
// are.
enum { SERVICE_FDS_MAX = SERVICES_MAX + SERVICE_CONNS_MAX };
nfds_t services_fill(const struct services *s, struct pollfd *fds, nfds_t n);
void services_serve(struct services *s, const struct pollfd *fds);
