// Sending and reading in batches, and finding out whether a silent client is still there.
#include "vnet/daemon/pair.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vnet/daemon/daemon.h"

bool address_equal(const struct address *a, const struct sockaddr_un *b, socklen_t size)
{
    return a->size == size && memcmp(&a->is, b, size) == 0;
}

static bool is_abstract(const struct address *a)
{
    return a->is.sun_path[0] == 0;
}

void address_text(const struct address *a, char *out, size_t n)
{
    size_t length = a->size - offsetof(struct sockaddr_un, sun_path);
    if (is_abstract(a))
        snprintf(out, n, "@%.*s", (int)length - 1, a->is.sun_path + 1);
    else
        snprintf(out, n, "%.*s", (int)length, a->is.sun_path);
}

static bool find_file(const struct address *a, struct socket_file *out)
{
    char path[sizeof a->is.sun_path + 1];
    address_text(a, path, sizeof path);
    return !is_abstract(a) && socket_file_find(path, out);
}

void pair_init(struct pair *p, const struct address *peer)
{
    p->peer = *peer;
    if (!find_file(peer, &p->file))
        p->file = (struct socket_file){0};
}

bool pair_replaced(const struct pair *p)
{
    struct socket_file now;
    return find_file(&p->peer, &now) && !socket_file_same(&now, &p->file);
}

int pair_send_to(struct port *p, const struct address *to, struct frame *const *frames, unsigned n)
{
    struct os_datagram d[PORT_BATCH];
    for (unsigned i = 0; i < n; i++) {
        d[i].data = (void *)vnet_frame_data(frames[i]);
        d[i].size = vnet_frame_size(frames[i]);
    }
    return os_send(p->fd, d, (int)n, to ? &to->is : NULL, to ? to->size : 0);
}

// EPERM: somebody is there who accepts frames only from the socket that it is connected to.
enum presence pair_look(const struct port *port)
{
    const struct pair *p = (const struct pair *)port;
    AUTO_CLOSE int scratch = datagram_socket();
    if (scratch < 0)
        return PRESENT;
    if (pair_replaced(p))
        return ABSENT;
    if (connect(scratch, (const struct sockaddr *)&p->peer.is, p->peer.size) == 0)
        return PRESENT;
    return errno == ECONNREFUSED ? ABSENT : errno == ENOENT ? UNSEEN : PRESENT;
}
