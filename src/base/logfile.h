// A log file with a limit: when it is full it becomes NAME.1 and a new one begins.
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct logfile;
struct logfile *logfile_open(int dir_fd, const char *name, off_t limit, struct err *e);
void logfile_write(struct logfile *l, const void *data,
                   size_t n); // a full disk loses lines, no more
void logfile_close(struct logfile *l);
