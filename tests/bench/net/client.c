// What the bench's clients have in common.
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const uint8_t prefix[] = {0x52, 0xbb, 0, 0};

static void put_mac(uint8_t *at, unsigned client)
{
    memcpy(at, prefix, sizeof prefix);
    at[4] = (uint8_t)(client >> 8);
    at[5] = (uint8_t)client;
}

void frame_make(uint8_t *frame, unsigned to, unsigned from)
{
    memset(frame, 0, FRAME_MAX);
    put_mac(frame, to);
    put_mac(frame + 6, from);
    frame[12] = 0x08;
}

int frame_is_ours(const uint8_t *frame)
{
    return memcmp(frame + 6, prefix, sizeof prefix) == 0;
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void sleep_until(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

uint64_t cpu_ns(int pid)
{
    char path[64];
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%llu", &ns) != 1)
        ns = 0;
    if (f)
        fclose(f);
    return ns;
}

void die(const char *what)
{
    perror(what);
    exit(1);
}
