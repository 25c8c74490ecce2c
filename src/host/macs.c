// MACs after a restore. The snapshot brings the NICs with the MACs they had; a copied or edited
// configuration asks for others. The socket stays unconnected until they are right, so that no
// frame with another VM's address reaches the network. The agent changes them in place; without an
// agent a NIC is unplugged and plugged.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/fork.h"

enum { AGENT_SECONDS = 10, ANNOUNCE_MS = 5000 };

static bool is_right(const struct host_nic *n)
{
    return memcmp(&n->mac, &n->actual, sizeof n->mac) == 0;
}

bool macs_right(const struct host *h)
{
    for (int i = 0; i < h->nic_count; i++)
        if (!is_right(&h->nics[i]))
            return false;
    return true;
}

static void on_announced(void *arg, const struct err *why)
{
    struct settings *s = arg;
    if (!why)
        settings_log(s);
    settings_clear(s);
    free(s);
}

// A guest that was given another MAC may have nothing to say for long; what it said meanwhile is
// lost.
void macs_announce(struct host *h)
{
    char mac[MAC_TEXT];
    const struct host_nic *n = macs_nic(h, "socket");
    if (!h->unannounced || !n || !agent_is_ready(h->agent) || !agent_can(h->agent, "announce"))
        return;
    h->unannounced = false;
    struct settings *s = xcalloc(1, sizeof *s);
    mac_format(&n->actual, mac);
    settings_add(s, "announce", "%s", mac);
    agent_set(h->agent, s, ANNOUNCE_MS, on_announced, s);
}

void macs_connect(struct host *h)
{
    h->unannounced = true;
    if (h->nic)
        nic_hold(h->nic, false);
    host_sync_link(h); // a NIC that was plugged anew has its cable in
}

static void settled(struct host *h)
{
    if (!macs_right(h))
        return;
    if (h->replug_failed) // as a note says
        host_note(h, "by now every NIC has its MAC");
    h->replug_failed = false;
    if (!h->fork || !fork_will_hold(h->fork))
        macs_connect(h);
    server_event(h->control, json_pack("{s:s, s:b}", "event", "agent", "ready", host_ready(h)));
    if (h->fork && host_ready(h))
        fork_ready(h);
}

static int index_of(const struct host *h, const struct host_nic *n)
{
    return (int)(n - h->nics);
}

static struct host_nic *first_wrong(struct host *h)
{
    for (int i = 0; i < h->nic_count; i++)
        if (!is_right(&h->nics[i]))
            return &h->nics[i];
    return NULL;
}

static void replug_next(struct host *h);

// The NIC stays unconnected: better silent than under a wrong address. An agent that comes yet may
// still help.
static void replug_failed(struct host *h, const struct host_nic *n, const struct err *why)
{
    h->replug_failed = true;
    host_note(h, "nic%d keeps a wrong MAC and stays unconnected: %s", index_of(h, n), why->msg);
    identity_again(h);
}

static void on_replugged(void *arg, const struct err *why)
{
    struct host *h = arg;
    struct host_nic *n = TAKE_PTR(h->replugged);
    if (is_right(n)) { // the guest rebooted meanwhile
        host_sync_link(h);
    } else if (why) {
        replug_failed(h, n, why);
    } else {
        n->actual = n->device = h->replug_mac;
        settled(h);
        h->replug_failed = false; // the guest lets NICs go by now
        replug_next(h);
    }
}

static void replug(struct host *h, struct host_nic *n)
{
    h->replugged = n;
    h->replug_mac = n->mac;
    h->ops->nic_replug(h->engine, index_of(h, n), &n->mac, on_replugged, h);
}

static void replug_next(struct host *h)
{
    struct host_nic *n = first_wrong(h);
    if (n && !h->replugged && !h->replug_failed)
        replug(h, n);
}

static void on_agent_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct host *h = arg;
    if (macs_right(h) || agent_is_ready(h->agent))
        return;
    if (h->state != ST_RUNNING) { // a guest that stands still lets no NIC go
        event_add(h->agent_late, &(struct timeval){.tv_sec = 1});
        return;
    }
    log_line("nic: no agent answers; replacing NICs instead");
    replug_next(h);
}

static void hold(struct host *h)
{
    if (h->nic)
        nic_hold(h->nic, true);
}

void macs_begin(struct host *h)
{
    if (macs_right(h))
        return;
    hold(h);
    h->agent_late = evtimer_new(h->base, on_agent_late, h);
    // A guest that was saved before its agent was up will not have one soon.
    event_add(h->agent_late, &(struct timeval){.tv_sec = h->agent_expected ? AGENT_SECONDS : 1});
}

void macs_reset(struct host *h)
{
    bool were = macs_right(h);
    for (int i = 0; i < h->nic_count; i++)
        h->nics[i].actual = h->nics[i].device;
    if (!macs_right(h)) // one was given another, and will be again
        hold(h);
    else if (!were)
        settled(h);
}

void macs_gone(struct host *h, int nic)
{
    struct host_nic *n = &h->nics[nic];
    log_line("nic%d: the guest has let go of it; plugging it in again", nic);
    n->actual = n->device = (struct mac){0}; // right for nobody
    hold(h);
    if (!h->replugged) // else it is next
        replug(h, n);
}

// As an item of a request.
static void describe(const struct host_nic *n, char out[static 2 * MAC_TEXT])
{
    mac_format(&n->actual, out);
    out[MAC_TEXT - 1] = ' ';
    mac_format(&n->mac, out + MAC_TEXT);
}

void macs_add(const struct host *h, struct settings *s)
{
    char text[2 * MAC_TEXT];
    for (int i = 0; i < h->nic_count && !h->replugged; i++) // it would lose what it is given
        if (!is_right(&h->nics[i])) {
            describe(&h->nics[i], text);
            settings_add(s, "mac", "%s", text);
        }
}

static bool was_set(const struct settings *s, const struct host_nic *n)
{
    char text[2 * MAC_TEXT];
    describe(n, text);
    for (int i = 0; i < s->count; i++)
        if (s->list[i].done && strcmp(s->list[i].key, "mac") == 0 &&
            strcmp(s->list[i].value, text) == 0)
            return true;
    return false;
}

void macs_answered(struct host *h, const struct settings *s)
{
    bool changed = false;
    for (int i = 0; i < h->nic_count; i++)
        if (s && !is_right(&h->nics[i]) && was_set(s, &h->nics[i])) {
            h->nics[i].actual = h->nics[i].mac;
            changed = true;
        }
    if (changed)
        settled(h);
    if (h->state == ST_RUNNING)
        replug_next(h);
}

// --- by order, while the guest runs ---

struct host_nic *macs_nic(struct host *h, const char *role)
{
    for (int i = 0; i < h->nic_count; i++)
        if ((h->nics[i].role == NIC_NAT) == (role && strcmp(role, "nat") == 0))
            return &h->nics[i];
    return !role && h->nic_count > 0 ? &h->nics[0] : NULL;
}

int macs_check(const struct host *h, const struct host_nic *n, const struct mac *mac, struct err *e)
{
    char text[MAC_TEXT];
    if (!macs_right(h))
        return err_set(e, ERR_BUSY, "a NIC is being given another MAC");
    mac_format(mac, text);
    for (int i = 0; i < h->nic_count; i++)
        if (&h->nics[i] != n && memcmp(&h->nics[i].actual, mac, sizeof *mac) == 0)
            return err_set(e, ERR_EXISTS, "nic%d has the MAC %s", i, text);
    return 0;
}

static void want(struct host *h, struct host_nic *n, const struct mac *mac)
{
    n->mac = *mac;
    if (n->role == NIC_SOCKET && h->nic)
        nic_set_mac(h->nic, *mac);
}

void macs_give(struct host *h, struct host_nic *n, const struct mac *mac)
{
    if (memcmp(&n->actual, mac, sizeof *mac) == 0)
        return;
    hold(h);
    want(h, n, mac);
}

void macs_given(struct host *h, struct host_nic *n, const struct mac *before,
                const struct settings *s)
{
    if (is_right(n))
        return;
    if (s && was_set(s, n))
        n->actual = n->mac;
    else
        want(h, n, before);
    settled(h);
}
