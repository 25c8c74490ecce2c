// An event loop in a test: waiting for what must come, never for time to pass.
#pragma once

#include <event2/event.h>
#include <stdbool.h>

#include "base/clock.h"

enum { LOOP_LIMIT_MS = 20000 };

static inline void loop_look_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

// Runs the loop until `condition` holds; the test fails where it never does.
#define LOOP_UNTIL(base, condition)                                                                \
    do {                                                                                           \
        const int64_t limit_ = clock_ms() + LOOP_LIMIT_MS;                                         \
        struct event *look_ = event_new(base, -1, EV_PERSIST, loop_look_again, NULL);              \
        event_add(look_, &(struct timeval){.tv_usec = 20000});                                     \
        bool holds_;                                                                               \
        while (!(holds_ = (condition)) && clock_ms() < limit_)                                     \
            event_base_loop(base, EVLOOP_ONCE);                                                    \
        event_free(look_);                                                                         \
        if (!holds_)                                                                               \
            fail_msg("never came: %s", #condition);                                                \
    } while (0)
