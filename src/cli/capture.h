// A short command in the guest, and what it prints as a text.
#pragma once

#include "base/err.h"
#include "vm/store.h"

// Runs it as `user` (NULL: root), without input. What it printed, owned by the caller, at most 64
// KiB. NULL with *e: where it ended with another code than 0, what it printed is the reason;
// ERR_TIMEOUT at the deadline (of clock_ms()), which kills it.
char *capture(const struct store *s, const char *id, const char *const *argv, const char *user,
              int64_t deadline, struct err *e);
