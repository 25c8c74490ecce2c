// Going to the background once the work has begun: who started the program waits for that.
#pragma once

#include "base/err.h"

// Goes on in a child, which the first process waits for: it ends with 0 after detach_done(), or as
// the child ends before. Before any thread, event loop or lock. Returns what detach_done() takes;
// -1 with *e.
int detach_begin(struct err *e);

// Leaves terminal and process group, and lets the first process end. Standard descriptors become
// /dev/null; standard error stays where it is a file, for a log. Closes `fd`. -1 with
// ERR_INTERRUPTED where the first process was ended meanwhile: nobody knows of this one.
int detach_done(int fd, struct err *e);
