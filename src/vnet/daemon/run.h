// The daemon as its main() sees it.
#pragma once

#include <stdbool.h>

#include "base/err.h"

struct daemon_options {
    const char *lab; // NULL: the default lab
    const char *listen, *listen_stream, *control;
    const char *capture; // instead of the lab file's; NULL
    bool realtime, detach;
};

// Runs until it is told to end. -1 with *e where it could not begin, ERR_BUSY where another one
// serves the path.
int daemon_run(const struct daemon_options *o, struct err *e);
