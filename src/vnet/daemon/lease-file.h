// Keeps the lab's leases in a file, so that they outlive the daemon, however it ends.
#pragma once

#include "base/err.h"

struct daemon;
struct lease_file;

// Puts the leases of an earlier life back into the lab. A file that makes no sense is set aside, as
// NAME.bad, and said in the log. NULL with *e where the directory cannot be opened.
struct lease_file *lease_file_open(struct daemon *d, const char *path, struct err *e);

// At the end of a turn: writes what has changed, at most ten times a second, and tells who listens.
void lease_file_turn(struct lease_file *f);

// Writes what has changed.
void lease_file_close(struct lease_file *f);
