// A client with a datagram socket: one frame a datagram.
#pragma once

#include <sys/un.h>

#include "base/os.h"
#include "proto/datagram.h"
#include "vnet/daemon/port.h"

struct address {
    struct sockaddr_un is;
    socklen_t size;
};
bool address_equal(const struct address *a, const struct sockaddr_un *b, socklen_t size);
void address_text(const struct address *a, char *out, size_t n); // "/path" or "@abstract"

struct pair {
    struct port port;
    struct address peer;
    struct socket_file file; // the peer's: a client that starts again makes another
};

void pair_init(struct pair *p, const struct address *peer);
// As a port's send(). `to` NULL: the socket is connected to the client's.
int pair_send_to(struct port *p, const struct address *to, struct frame *const *frames, unsigned n);
enum presence pair_look(const struct port *p);
// Whether another client's socket is at its path.
bool pair_replaced(const struct pair *p);
