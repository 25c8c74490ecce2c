// A client at a datagram socket of its own: one frame a datagram.
//
// The socket here is connected to the client's. Where the client's is connected to this one too
// ("mutual"), nobody else can send to it, and frames are read from it. A client that is not
// connected sends to the public path, and its pair only sends.
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
    bool mutual;
    bool ours_alone; // nothing from others is left in the socket
    // What came from others while they still could send; NULL: dropped.
    void (*stray)(struct daemon *d, int fd, const struct os_datagram *from_other);
    LIST_ENTRY(pair) same_hash; // of the public socket's clients
};

void pair_init(struct pair *p, const struct address *peer);
int pair_send(struct port *p, struct frame *const *frames, unsigned n);
void pair_read(struct port *p);
enum presence pair_look(const struct port *p);
// Whether another client's socket is at its path.
bool pair_replaced(const struct pair *p);
