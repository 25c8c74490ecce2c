// How late frames come out of a link that delays them.
//
//     bench-delay RATE SECONDS DELAY_NS FROM TO
//
// Sends so many frames a second, evenly, each with the time at which it was sent; prints the
// median, the 99th percentile and the greatest of what they took beyond the delay, in µs. The
// clients run before all other programs where that is allowed: what is late then is the network.
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "client.h"

enum { SIZE = 64, STAMP = 16, PRIORITY = 50, PATIENCE_S = 2 };

struct run {
    int from, to;
    uint64_t period, count, delay;
    uint64_t *late;
};

static void *sender(void *arg)
{
    static uint8_t frame[FRAME_MAX];
    const struct run *r = arg;
    prctl(PR_SET_TIMERSLACK, 1UL);
    frame_make(frame, 1, 0);
    uint64_t due = now_ns();
    for (uint64_t i = 0; i < r->count; i++) {
        sleep_until(due += r->period);
        uint64_t now = now_ns();
        memcpy(frame + STAMP, &now, sizeof now);
        if (send(r->from, frame, SIZE, MSG_NOSIGNAL) < 0)
            die("send");
    }
    return NULL;
}

// Returns how many arrived.
static uint64_t receive(const struct run *r)
{
    static uint8_t frame[FRAME_MAX];
    uint64_t got = 0;
    while (got < r->count && recv(r->to, frame, sizeof frame, 0) > 0) {
        uint64_t now = now_ns();
        uint64_t sent;
        if (!frame_is_ours(frame))
            continue;
        memcpy(&sent, frame + STAMP, sizeof sent);
        r->late[got++] = now - sent - r->delay;
    }
    return got;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// Of sorted times, in µs.
static double percentile(const uint64_t *sorted, uint64_t count, unsigned percent)
{
    uint64_t at = count * percent / 100;
    return (double)sorted[at < count ? at : count - 1] / 1e3;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    uint64_t rate = strtoull(argv[1], NULL, 10);
    struct run r = {.from = atoi(argv[4]),
                    .to = atoi(argv[5]),
                    .period = 1000000000 / rate,
                    .count = (uint64_t)((double)rate * atof(argv[2])),
                    .delay = strtoull(argv[3], NULL, 10)};
    bool first =
        sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = PRIORITY}) == 0;
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(r.to, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    r.late = calloc(r.count, sizeof *r.late);
    pthread_t thread;
    if (!r.late || pthread_create(&thread, NULL, sender, &r))
        die("start");
    uint64_t got = receive(&r);
    pthread_join(thread, NULL);
    if (got == 0)
        return 1;
    qsort(r.late, got, sizeof *r.late, compare);
    printf("{\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f, \"lost\": %llu, \"first\": %s}\n",
           percentile(r.late, got, 50), percentile(r.late, got, 99), percentile(r.late, got, 100),
           (unsigned long long)(r.count - got), first ? "true" : "false");
    return 0;
}
