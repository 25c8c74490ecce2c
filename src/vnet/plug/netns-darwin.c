// macOS has no network namespaces.
#include "vnet/plug/netns.h"

int netns_enter(const char *which, struct err *e)
{
    return err_set(e, ERR_HOST_CANNOT, "cannot enter '%s': macOS has no network namespaces", which);
}
