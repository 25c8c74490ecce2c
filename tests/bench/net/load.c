// Clients that send and receive as fast as they can, one frame a call.
//
//     bench-load PID SIZE SECONDS BURST FD...
//
// A descriptor is a client's datagram socket; with two the first sends to the second, with more
// each sends to the next, BURST frames at a time. PID is the relay's. Prints what happened within
// SECONDS, after a start that does not count: frames that arrived, the relay's processor time; and
// of the whole run what was sent and what was lost.
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "client.h"

enum { CLIENTS_MAX = 4096, EVENTS = 64, WARM_UP_MS = 200, DRAIN_MS = 100 };

struct load {
    int fds[CLIENTS_MAX];
    unsigned count, burst;
    size_t size;
    atomic_bool stop;
    atomic_ullong sent, received;
};

static void send_burst(struct load *l, unsigned from, uint8_t *frame)
{
    frame_make(frame, (from + 1) % l->count, from);
    for (unsigned i = 0; i < l->burst && !l->stop; i++) {
        if (send(l->fds[from], frame, l->size, MSG_NOSIGNAL) < 0 && errno != EINTR)
            die("send");
        atomic_fetch_add_explicit(&l->sent, 1, memory_order_relaxed);
    }
}

static void *sender(void *arg)
{
    static uint8_t frame[FRAME_MAX];
    struct load *l = arg;
    unsigned senders = l->count == 2 ? 1 : l->count;
    for (unsigned i = 0; !l->stop; i = (i + 1) % senders)
        send_burst(l, i, frame);
    return NULL;
}

static void receive(struct load *l, int fd, uint8_t *frame)
{
    ssize_t n = recv(fd, frame, FRAME_MAX, 0);
    if (n > 0 && frame_is_ours(frame))
        atomic_fetch_add_explicit(&l->received, 1, memory_order_relaxed);
}

static void *receiver(void *arg)
{
    static uint8_t frame[FRAME_MAX];
    struct load *l = arg;
    for (;;)
        receive(l, l->fds[1], frame);
    return NULL;
}

static void *receiver_of_many(void *arg)
{
    static uint8_t frame[FRAME_MAX];
    struct load *l = arg;
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < l->count; i++)
        epoll_ctl(epoll, EPOLL_CTL_ADD, l->fds[i],
                  &(struct epoll_event){.events = EPOLLIN, .data.fd = l->fds[i]});
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++)
            receive(l, events[i].data.fd, frame);
    }
    return NULL;
}

static void sleep_ms(uint64_t ms)
{
    sleep_until(now_ns() + ms * 1000000);
}

// What is still on its way when the last frame was sent arrives.
static void drain(struct load *l)
{
    unsigned long long before;
    do {
        before = l->received;
        sleep_ms(DRAIN_MS);
    } while (l->received != before);
}

int main(int argc, char **argv)
{
    static struct load l;
    if (argc < 7 || argc - 5 > CLIENTS_MAX)
        return 2;
    int pid = atoi(argv[1]);
    double seconds = atof(argv[3]);
    l.size = (size_t)atoi(argv[2]);
    l.burst = (unsigned)atoi(argv[4]);
    for (int i = 5; i < argc; i++)
        l.fds[l.count++] = atoi(argv[i]);
    pthread_t threads[2];
    if (pthread_create(&threads[0], NULL, l.count == 2 ? receiver : receiver_of_many, &l) ||
        pthread_create(&threads[1], NULL, sender, &l))
        die("threads");
    sleep_ms(WARM_UP_MS);
    uint64_t start = now_ns();
    uint64_t cpu = cpu_ns(pid);
    unsigned long long received = l.received;
    sleep_ms((uint64_t)(seconds * 1000));
    received = l.received - received;
    cpu = cpu_ns(pid) - cpu;
    uint64_t took = now_ns() - start;
    l.stop = true;
    pthread_join(threads[1], NULL);
    drain(&l);
    printf("{\"ns\": %llu, \"frames\": %llu, \"cpu_ns\": %llu, \"sent\": %llu, \"lost\": %lld}\n",
           (unsigned long long)took, received, (unsigned long long)cpu, l.sent,
           (long long)l.sent - (long long)l.received);
    return 0;
}
