// NIC events for scripts: what ifplugd does for a cable, for every NIC that comes and goes.
#include "agent/watch.h"

#include "agent/netlink.h"
#include "agent/nics.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void tell_nic(const struct nic *old, const struct nic *now)
{
    if (!old)
        printf("new %s\n", now->name);
    else if (memcmp(old->mac, now->mac, sizeof now->mac) != 0)
        printf("mac %s\n", now->name);

    // A link that went and came between two looks counts: it may lead elsewhere now.
    if (now->up && (!old || !old->up || old->carrier_changes != now->carrier_changes))
        printf("up %s\n", now->name);
    else if (!now->up && old && old->up)
        printf("down %s\n", now->name);
}

static void tell_changes(const struct nics *old, const struct nics *now)
{
    for (unsigned i = 0; i < old->count; i++)
        if (!nics_by_index(now, old->list[i].index))
            printf("gone %s\n", old->list[i].name);
    for (unsigned i = 0; i < now->count; i++)
        tell_nic(nics_by_index(old, now->list[i].index), &now->list[i]);
}

int watch_run(void)
{
    static struct nics old, now;
    struct pollfd p = {.fd = netlink_events_open(), .events = POLLIN};

    if (p.fd < 0)
        return -1;
    for (;;) {
        netlink_events_drain(p.fd);
        if (nics_read(&now) == 0) {
            tell_changes(&old, &now);
            old = now;
        }
        if (fflush(stdout) != 0 || (poll(&p, 1, -1) < 0 && errno != EINTR)) {
            close(p.fd);
            return -1;
        }
    }
}
