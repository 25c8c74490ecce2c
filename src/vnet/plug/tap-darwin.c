// macOS has no TAP interfaces.
#include "vnet/plug/tap.h"

int tap_open(const char *name, const struct mac *mac, struct tap *out, struct err *e)
{
    (void)name;
    (void)mac;
    (void)out;
    return err_set(e, ERR_HOST_CANNOT, "macOS has no TAP interfaces: 'vnet plug' is for Linux");
}

void tap_close(struct tap *t)
{
    (void)t;
}

int tap_up(const struct tap *t, unsigned mtu, struct err *e)
{
    (void)mtu;
    return err_set(e, ERR_HOST_CANNOT, "cannot bring '%s' up", t->name);
}

void tap_drain(const struct tap *t)
{
    (void)t;
}

bool tap_gone(const struct tap *t)
{
    (void)t;
    return true;
}
