// Long jobs that SIGINT, SIGTERM or SIGHUP end tidily.
#pragma once

#include "base/err.h"

// From here on the first of these signals only sets a flag; a second one ends the process as usual.
void interrupt_catch(void);

// -1 with ERR_INTERRUPTED once a signal came.
int interrupt_check(struct err *e);
