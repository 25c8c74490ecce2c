// The virtio-serial port that leads to Host, found by its name as udev would do it: the device
// nodes (/dev/vport1p1) are numbered by chance.
#include "agent/port.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PORTS_DIR "/sys/class/virtio-ports"

static bool port_is_named(const char *port, const char *name)
{
    char path[sizeof PORTS_DIR + 64], line[128];
    FILE *f;
    bool same;

    snprintf(path, sizeof path, PORTS_DIR "/%.32s/name", port);
    f = fopen(path, "re");
    if (!f)
        return false;
    same = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    if (same)
        line[strcspn(line, "\n")] = '\0';
    return same && !strcmp(line, name);
}

static int open_device(const char *port)
{
    char dev[64];

    snprintf(dev, sizeof dev, "/dev/%.32s", port);
    return open(dev, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

// -1 with ENOENT if no port has that name.
static int open_named(const char *name)
{
    DIR *dir = opendir(PORTS_DIR);
    struct dirent *entry;
    int fd = -1;
    int saved = ENOENT;

    if (!dir)
        return -1;
    while (fd < 0 && (entry = readdir(dir))) {
        if (!port_is_named(entry->d_name, name))
            continue;
        fd = open_device(entry->d_name);
        saved = errno;
    }
    closedir(dir);
    errno = saved;
    return fd;
}

int port_open(const char *name)
{
    int fd = open_named(name);

    if (fd >= 0)
        fcntl(fd, F_SETOWN, getpid());
    return fd;
}

void port_signal(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);

    fcntl(fd, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC);
}
