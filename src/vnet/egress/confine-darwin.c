// macOS has no filter that a program may use.
#include "vnet/egress/confine.h"

#include <sys/resource.h>

int confine(struct err *e)
{
    const struct rlimit none = {0};
    return setrlimit(RLIMIT_CORE, &none) < 0 ? err_sys(e, "cannot do without core files") : 0;
}
