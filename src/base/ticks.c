// Counter against clock.
#include "base/ticks.h"

#include <time.h>

static uint64_t counter(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

struct ticks ticks_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct ticks){counter(), (int64_t)t.tv_sec * 1000000000 + t.tv_nsec};
}

int64_t ticks_khz(struct ticks start)
{
    struct ticks now = ticks_now();
    int64_t ns = now.ns - start.ns;
    return ns > 0 ? (int64_t)((double)(now.count - start.count) * 1e6 / (double)ns) : 0;
}
