// The guest's clock. A guest that was saved has slept without noticing: it stands where it stood.
#include "agent/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double seconds_between(const struct timespec *from, const struct timespec *to)
{
    return (double)(to->tv_sec - from->tv_sec) + (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

int clock_set(const char *time, char note[static WHY_MAX])
{
    struct timespec before, to;
    long long seconds;
    long nanoseconds;

    if (sscanf(time, "%15lld.%9ld", &seconds, &nanoseconds) != 2 || seconds < 0 || nanoseconds < 0)
        return why_not(note, "not seconds.nanoseconds");
    to = (struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = nanoseconds};
    clock_gettime(CLOCK_REALTIME, &before);
    if (clock_settime(CLOCK_REALTIME, &to) != 0)
        return why_not(note, "%s", strerror(errno));
    snprintf(note, WHY_MAX, "%+.3f s", seconds_between(&before, &to));
    return 0;
}
