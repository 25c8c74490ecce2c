// setns(2), with the user namespace in between where it is needed.
#include "vnet/plug/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/parse.h"

enum { PID_LIMIT = 1 << 22 }; // the kernel's PID_MAX_LIMIT

// As for 'ip link set … netns' a name counts more than a pid.
static char *path_of(const char *which)
{
    struct err ignored;
    uint64_t pid;
    if (strchr(which, '/'))
        return xstrdup(which);
    char *named = xasprintf("/run/netns/%s", which);
    if (access(named, F_OK) == 0 || number_parse(which, "pid", 1, PID_LIMIT, &pid, &ignored) < 0)
        return named;
    free(named);
    return xasprintf("/proc/%s/ns/net", which);
}

static int open_named(const char *which, struct err *e)
{
    AUTO_FREE char *path = path_of(which);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // it may be anything
    return fd < 0 ? err_sys(e, "cannot open network namespace '%s' (%s)", which, path) : fd;
}

static int enter_owner(int net)
{
    AUTO_CLOSE int owner = ioctl(net, NS_GET_USERNS);
    return owner < 0 ? -1 : setns(owner, CLONE_NEWUSER);
}

int netns_enter(const char *which, struct err *e)
{
    AUTO_CLOSE int net = open_named(which, e);
    if (net < 0)
        return -1;
    if (ioctl(net, NS_GET_NSTYPE) != CLONE_NEWNET)
        return err_set(e, ERR_USAGE, "'%s' is no network namespace", which);
    if (setns(net, CLONE_NEWNET) == 0)
        return 0;
    if (errno == EPERM && enter_owner(net) == 0 && setns(net, CLONE_NEWNET) == 0)
        return 0;
    err_sys(e, "cannot enter network namespace '%s'", which);
    e->code = ERR_HOST_CANNOT;
    return -1;
}
