// The run-time directory, and the names of the sockets in it.
#include "vm/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "vm/store.h"

// Makes one private directory. In /tmp anybody may have made it first: another user's, or a link,
// is refused.
static int make_private(const char *path, struct err *e)
{
    struct stat st;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_sys(e, "cannot make the run-time directory %s", path);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, "cannot use the run-time directory %s", path);
    if (st.st_uid != geteuid())
        return err_set(e, ERR_FAILED, "the run-time directory %s belongs to another user (uid %u)",
                       path, (unsigned)st.st_uid);
    if ((st.st_mode & 077) && fchmod(fd, 0700) < 0)
        return err_sys(e, "cannot make the run-time directory %s private", path);
    return 0;
}

// $XDG_RUNTIME_DIR counts where it is a directory of ours: after `su` it is another user's.
static char *base_path(void)
{
    struct stat st;
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    if (xdg && xdg[0] == '/' && stat(xdg, &st) == 0 && S_ISDIR(st.st_mode) &&
        st.st_uid == geteuid())
        return xasprintf("%s/tailmac", xdg);
    return xasprintf("/tmp/tailmac-%u", (unsigned)geteuid());
}

// FNV-1a, short enough for a socket's path.
static uint64_t hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325;
    for (const char *p = text; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3;
    return h & 0xffffffffff;
}

char *runtime_dir_make(const char *bundle, struct err *e)
{
    AUTO_FREE char *base = base_path();
    if (make_private(base, e) < 0)
        return NULL;
    if (!bundle)
        return TAKE_PTR(base);
    AUTO_FREE char *path = xasprintf("%s/%010" PRIx64, base, hash(bundle));
    return make_private(path, e) < 0 ? NULL : TAKE_PTR(path);
}

int runtime_path(const struct store *s, const char *id, const char *suffix, char **out,
                 struct err *e)
{
    AUTO_FREE char *path = xasprintf("%s/%s%s", s->runtime, id, suffix);
    if (strlen(path) > SOCKET_PATH_MAX)
        return err_set(e, ERR_FAILED,
                       "socket path %s has %zu bytes, %d are possible: use a shorter id", path,
                       strlen(path), SOCKET_PATH_MAX);
    *out = TAKE_PTR(path);
    return 0;
}

// By whole names, not by prefix: a VM 'a' must not lose the files of a VM 'a.b'.
void runtime_remove(const struct store *s, const char *id)
{
    static const char *const suffixes[] = {RUNTIME_CONTROL, RUNTIME_CONSOLE, RUNTIME_VSOCK,
                                           RUNTIME_NIC, RUNTIME_VERIFIED};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        AUTO_FREE char *path = xasprintf("%s/%s%s", s->runtime, id, suffixes[i]);
        unlink(path);
    }
}

void socket_remove_dead(const char *path)
{
    struct stat st;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path || lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode) ||
        st.st_uid != geteuid())
        return;
    strcpy(to.sun_path, path);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno == ECONNREFUSED)
        unlink(path);
}
