// A listening unix socket in an event loop.
#pragma once

#include <event2/event.h>
#include <stdbool.h>

#include "base/err.h"

struct listener;

// Listens at `path` as unix_listen() does. Each connection of the same user, or root's, is given to
// `accepted`: non-blocking, close-on-exec, the caller's. Where the process has no descriptor left
// for one, it waits, and is tried again soon.
struct listener *listener_new(struct event_base *base, const char *path,
                              void (*accepted)(void *arg, int fd), void *arg, struct err *e);
// While it is paused, connections wait.
void listener_pause(struct listener *l, bool pause);
// Unlinks the path. NULL is nothing.
void listener_free(struct listener *l);
