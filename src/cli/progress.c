// One line on standard error that is overwritten, at most once a percent.
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/interrupt.h"

int progress_show(void *arg, uint64_t done, uint64_t total, struct err *e)
{
    struct progress *p = arg;
    int percent = total ? (int)(100.0 * (double)done / (double)total) : 0;
    if (interrupt_check(e) < 0)
        return -1;
    if (percent + 1 == p->percent || !isatty(STDERR_FILENO))
        return 0;
    p->percent = percent + 1;
    fprintf(stderr, "\r\033[K%s: %d %%", p->what, percent);
    return 0;
}

void progress_end(struct progress *p)
{
    if (p->percent)
        fputs("\r\033[K", stderr);
    p->percent = 0;
}
