// One TAP on one vnet: handed over, and again whenever vnet is back.
#pragma once

#include "vnet/plug/tap.h"

struct session_options {
    const char *control; // vnet's control socket
    const char *mac;     // as text
    const char *name;    // of the node; NULL: vnet decides
    const char *network; // NULL: vnet decides
    const char *netns;   // NULL: this process's
    const char *tap;     // the interface's name; NULL: tap0, or the next that is free
    bool detach;
};

// Runs until SIGINT or SIGTERM (0), or until it fails: what does not work at first, or the
// interface's removal.
int session_run(const struct session_options *o, struct err *e);
