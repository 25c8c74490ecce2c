// The agent's scheduling policy.
#include "agent/priority.h"

#include <sched.h>

void priority_set(enum priority p)
{
    const struct sched_param param = {.sched_priority = p == PRIORITY_FIRST};

    sched_setscheduler(0, (p == PRIORITY_FIRST ? SCHED_FIFO : SCHED_OTHER) | SCHED_RESET_ON_FORK,
                       &param);
}
