// Records in, whole blocks of a pcapng file out.
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct writer;

// Appends a section to a regular file that holds `end` bytes worth keeping; what follows is cut
// off. The descriptor stays the caller's.
struct writer *writer_new(int fd, off_t end, struct err *e);
void writer_free(struct writer *w);

// Where to put records, *room bytes, never 0; then how many came. Takes the whole ones.
void *writer_space(struct writer *w, size_t *room);
int writer_added(struct writer *w, size_t n, struct err *e);

// Writes what was collected. Where that fails the file ends with the last block that fits,
// and *e is ERR_HOST_CANNOT.
int writer_flush(struct writer *w, struct err *e);

// The sums of all interfaces, at the end.
int writer_finish(struct writer *w, struct err *e);
