// Log lines: "2026-01-31T12:00:00.123Z text", written whole.
#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

// A pipe whose reader does not read, a terminal that was stopped: neither may stop the program. A
// pipe that has room takes a whole line (PIPE_BUF).
static int has_room(void)
{
    return poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, 0) != 0;
}

void log_line(const char *fmt, ...)
{
    char line[2048];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ ", now.tv_nsec / 1000000);
    va_list ap;
    va_start(ap, fmt);
    int text = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    va_end(ap);
    n += text < 0 ? 0 : (size_t)text;
    if (n > sizeof line - 2)
        n = sizeof line - 2;
    line[n++] = '\n';
    if (has_room() && write(STDERR_FILENO, line, n) < 0)
        return; // neither may a full disk
}
