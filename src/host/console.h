// The guest's serial console: kept in a log, shared by any number of clients of a unix socket.
#pragma once

#include <event2/event.h>

#include "base/err.h"

struct console;

// What a Linux kernel says of its end. Anybody in the guest can print the same: it is a hint, until
// it is the last thing that is said.
struct console_hooks {
    void (*panic)(void *arg, const char *line);  // "Kernel panic - not syncing: …"
    void (*silent)(void *arg, const char *line); // that line again, after "---[ end …"
    void (*went_on)(void *arg);                  // it was not the last thing
    void *arg;
};

// `engine_fd` (taken) is Host's end of the console; clients connect at `path` and get the recent
// output first.
struct console *console_new(struct event_base *base, int engine_fd, const char *path, int vm_fd,
                            const struct console_hooks *hooks, struct err *e);
const char *console_last(const struct console *c);  // the last line with text in it; "" if none
const char *console_panic(const struct console *c); // what a kernel said of its panic; "" if none
void console_reset(struct console *c);              // the guest boots again
void console_free(struct console *c);
