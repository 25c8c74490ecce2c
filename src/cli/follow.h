// Showing a VM's log while it grows.
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "vm/store.h"

struct follow;

// Opens the log `name` of a VM at its end less `lines` lines (-1: its beginning). A log that does
// not exist yet is waited for.
struct follow *follow_open(const struct store *s, const char *id, const char *name, int64_t lines,
                           struct err *e);
void follow_close(struct follow *f);
void follow_print(struct follow *f); // what is there now
// What comes, until the end of the VM or ^C (after interrupt_catch(): the VM goes on).
void follow_until_stopped(struct follow *f);
