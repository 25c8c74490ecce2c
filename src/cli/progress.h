// How far a long job is, on a terminal only.
#pragma once

#include "base/file.h"

struct progress {
    const char *what; // "copying Disk.img"
    int percent;      // last shown + 1; 0: nothing shown yet
};

// A file_progress; its arg is a struct progress. Ends the job when a signal came (interrupt.h).
int progress_show(void *arg, uint64_t done, uint64_t total, struct err *e);
void progress_end(struct progress *p); // wipes the line
