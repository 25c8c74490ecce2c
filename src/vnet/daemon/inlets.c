// A guest is looked for when somebody connects: it may come later, and have another address then.
#include "vnet/daemon/inlets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "vnet/daemon/daemon.h"
#include "vnet/daemon/egress.h"
#include "vnet/egress/message.h"

// Who finds the backlog full may believe for ever that it is connected (SYN cookies).
enum { BACKLOG = 4096, MACS_MAX = 64 };

struct listener {
    struct inlet is;
    int fd; // -1: this one is free
};

struct inlets {
    struct listener all[VNET_EGRESS_PORTS]; // by the lab's port less 1
    unsigned last;                          // what was used last is used again last
};

// --- who is meant ---

static bool is_in(const struct vnet_network *n, uint32_t address)
{
    return n->prefix && !((address ^ n->router) >> (32 - n->prefix));
}

static const char *find_address(const struct daemon *d, uint32_t address, struct vnet_guest *out)
{
    bool found = false;
    for (unsigned i = 0; i < d->lab->network_count; i++) {
        if (!is_in(&d->lab->networks[i].is, address))
            continue;
        if (found)
            return "several networks have this address";
        found = true;
        out->network = i;
        out->address = address;
    }
    return found ? NULL : "no network has this address";
}

static bool has_mac(const struct mac *macs, unsigned n, const struct mac *mac)
{
    for (unsigned i = 0; i < n; i++)
        if (memcmp(&macs[i], mac, sizeof *mac) == 0)
            return true;
    return false;
}

// `mac` NULL: it is a name.
static bool is_meant(const struct port *p, const char *guest, const struct mac *mac,
                     const struct mac *macs, unsigned n)
{
    return mac ? has_mac(macs, n, mac)
               : strcmp(p->place.name, guest) == 0 || strcmp(p->place.own, guest) == 0;
}

static const char *find_plug(const struct daemon *d, const char *guest, struct vnet_guest *out)
{
    struct mac wanted;
    struct err e;
    const struct mac *mac = mac_parse(guest, &wanted, &e) == 0 ? &wanted : NULL;
    const char *why = "it is not plugged in";
    for (unsigned i = 0; i < d->limits.plugs; i++) {
        struct mac macs[MACS_MAX];
        unsigned n = d->ports[i] ? vnet_macs(d->v, i, macs, MACS_MAX) : 0;
        n = n < MACS_MAX ? n : MACS_MAX;
        if (!d->ports[i] || !is_meant(d->ports[i], guest, mac, macs, n))
            continue;
        out->network = d->ports[i]->place.network;
        for (unsigned j = 0; j < n; j++)
            if ((!mac || has_mac(&macs[j], 1, mac)) &&
                (out->address = vnet_address(d->v, out->network, macs[j])))
                return NULL;
        why = "it has no address yet";
    }
    return why;
}

// NULL, or why there is nobody.
static const char *find_guest(const struct daemon *d, const struct inlet *inlet,
                              struct vnet_guest *out)
{
    struct in_addr address;
    *out = (struct vnet_guest){.port = inlet->port};
    return inet_pton(AF_INET, inlet->guest, &address) == 1
               ? find_address(d, ntohl(address.s_addr), out)
               : find_plug(d, inlet->guest, out);
}

bool inlets_guest(const struct daemon *d, uint8_t protocol, uint16_t port, struct vnet_guest *out)
{
    const struct listener *l = &d->inlets->all[port - 1];
    return l->fd >= 0 && l->is.protocol == protocol && !find_guest(d, &l->is, out);
}

static json_t *inlet_document(const struct daemon *d, const struct inlet *inlet)
{
    char listen[INLET_TEXT];
    char address[INET_ADDRSTRLEN] = "";
    struct vnet_guest guest;
    const char *why = find_guest(d, inlet, &guest);
    const struct in_addr a = {htonl(guest.address)};
    inlet_format(inlet, listen);
    listen[strcspn(listen, "/")] = 0;
    if (!why)
        inet_ntop(AF_INET, &a, address, sizeof address);
    return json_pack("{s:s, s:s, s:s, s:i, s:s?, s:s?, s:s?}", "listen", listen, "protocol",
                     inlet->protocol == IPPROTO_UDP ? "udp" : "tcp", "guest", inlet->guest, "port",
                     inlet->port, "network",
                     why ? NULL : d->lab->networks[guest.network].entry.name, "address",
                     why ? NULL : address, "note", why);
}

json_t *inlets_document(const struct daemon *d)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < VNET_EGRESS_PORTS; i++)
        if (d->inlets->all[i].fd >= 0)
            json_array_append_new(all, inlet_document(d, &d->inlets->all[i].is));
    return all;
}

// --- sockets ---

static int listen_at(const struct inlet *inlet, struct err *e)
{
    const int on = 1;
    char text[INLET_TEXT];
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons(inlet->host_port),
                                   .sin_addr.s_addr = htonl(inlet->host)};
    bool tcp = inlet->protocol == IPPROTO_TCP;
    AUTO_CLOSE int fd = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    inlet_format(inlet, text);
    if (fd < 0)
        return err_sys(e, "cannot listen at %s", text);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (tcp) // or the port would be taken for a minute after its last connection
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) < 0 || (tcp && listen(fd, BACKLOG) < 0)) {
        bool taken = errno == EADDRINUSE;
        err_sys(e, "cannot listen at %s", text);
        e->code = taken ? ERR_BUSY : e->code;
        return -1;
    }
    return TAKE_FD(fd);
}

static void say(struct daemon *d, unsigned i, bool ends)
{
    const struct listener *l = &d->inlets->all[i];
    struct egress_message m = egress_message(ends ? EGRESS_INLET_END : EGRESS_INLET);
    m.host = l->is.host;
    m.host_port = l->is.host_port;
    m.lab_port = (uint16_t)(i + 1);
    m.protocol = l->is.protocol;
    if (d->egress)
        egress_say_inlet(d->egress, &m, ends ? -1 : l->fd);
}

void inlets_say(struct daemon *d)
{
    for (unsigned i = 0; i < VNET_EGRESS_PORTS; i++)
        if (d->inlets->all[i].fd >= 0)
            say(d, i, false);
}

// --- adding and removing ---

static struct listener *find_listener(const struct daemon *d, const struct inlet *inlet)
{
    for (unsigned i = 0; i < VNET_EGRESS_PORTS; i++)
        if (d->inlets->all[i].fd >= 0 && inlet_is_at(&d->inlets->all[i].is, inlet))
            return &d->inlets->all[i];
    return NULL;
}

static struct listener *find_free(struct inlets *all)
{
    for (unsigned i = 1; i <= VNET_EGRESS_PORTS; i++) {
        unsigned at = (all->last + i) % VNET_EGRESS_PORTS;
        if (all->all[at].fd < 0) {
            all->last = at;
            return &all->all[at];
        }
    }
    return NULL;
}

static int check_new(const struct daemon *d, const struct inlet *inlet, struct err *e)
{
    const struct listener *same = find_listener(d, inlet);
    char text[INLET_TEXT];
    inlet_format(inlet, text);
    if (same)
        return err_set(e, ERR_EXISTS, "%s leads to %s:%u already", text, same->is.guest,
                       same->is.port);
    if (d->lab->egress == LABFILE_EGRESS_NONE)
        return err_set(e, ERR_FAILED,
                       "nothing comes into this lab: its way out is closed ('egress: none')");
    return 0;
}

static int add(struct daemon *d, const struct inlet *inlet, struct err *e)
{
    if (check_new(d, inlet, e) < 0)
        return -1;
    struct listener *l = find_free(d->inlets);
    if (!l)
        return err_set(e, ERR_USAGE, "there are %d such ports already", VNET_EGRESS_PORTS);
    l->fd = listen_at(inlet, e);
    if (l->fd < 0)
        return -1;
    l->is = *inlet;
    say(d, (unsigned)(l - d->inlets->all), false);
    return 0;
}

int inlets_add(struct daemon *d, const char *listen, const char *to, struct err *e)
{
    struct inlet inlet;
    return inlet_parse(listen, to, &inlet, e) < 0 ? -1 : add(d, &inlet, e);
}

int inlets_remove(struct daemon *d, const char *listen, struct err *e)
{
    struct inlet inlet;
    char text[INLET_TEXT];
    if (inlet_parse(listen, NULL, &inlet, e) < 0)
        return -1;
    struct listener *l = find_listener(d, &inlet);
    inlet_format(&inlet, text);
    if (!l)
        return err_set(e, ERR_USAGE, "%s leads to no guest", text);
    say(d, (unsigned)(l - d->inlets->all), true);
    close(TAKE_FD(l->fd));
    return 0;
}

int inlets_open(struct daemon *d, struct err *e)
{
    d->inlets = xcalloc(1, sizeof *d->inlets);
    d->inlets->last = VNET_EGRESS_PORTS - 1;
    for (unsigned i = 0; i < VNET_EGRESS_PORTS; i++)
        d->inlets->all[i].fd = -1;
    for (unsigned i = 0; i < d->lab->inlet_count; i++)
        if (add(d, &d->lab->inlets[i].is, e) < 0)
            return -1;
    return 0;
}

void inlets_free(struct inlets *all)
{
    for (unsigned i = 0; all && i < VNET_EGRESS_PORTS; i++)
        if (all->all[i].fd >= 0)
            close(all->all[i].fd);
    free(all);
}
