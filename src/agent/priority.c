// The agent's scheduling policy: nice(2) rather than a real-time one, under which it could keep the
// guest from everything else while gigabytes pass.
#include "agent/priority.h"

#include <sched.h>
#include <sys/resource.h>

void priority_first(void)
{
    enum { FIRST = -20 };
    const struct sched_param param = {0};

    sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &param);
    setpriority(PRIO_PROCESS, 0, FIRST);
}
