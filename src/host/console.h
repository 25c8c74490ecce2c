// The guest's serial console: kept in a log, shared by any number of clients of a unix socket.
#pragma once

#include <event2/event.h>

#include "base/err.h"

struct console;

// `engine_fd` (taken) is Host's end of the console; clients connect at `path` and get the recent
// output first. `panicked` is called once per boot with the line in which a Linux kernel says so.
struct console *console_new(struct event_base *base, int engine_fd, const char *path, int vm_fd,
                            void (*panicked)(void *arg, const char *line), void *arg,
                            struct err *e);
const char *console_last(const struct console *c); // the last line with text in it; "" if none
void console_reset(struct console *c);             // the guest boots again
void console_free(struct console *c);
