// One long blocking job (a copy, a sync) beside the event loop.
#pragma once

#include <event2/event.h>

#include "base/err.h"

// `work` runs in a thread of its own and touches nothing but `arg`; `done` is called in the loop
// with its result. The loop must run until then.
typedef int worker_work(void *arg, struct err *e);
typedef void worker_done(void *arg, int result, struct err *e);
int worker_start(struct event_base *base, worker_work *work, worker_done *done, void *arg,
                 struct err *e);
