// /dev/null where a standard descriptor is missing.
#include "base/stdio.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"

void stdio_fill(void)
{
    static const int mode[] = {O_WRONLY, O_RDONLY, O_WRONLY};
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", mode[fd]) != fd)
            _exit(ERR_FAILED);
}
