// The guest's clock.
#pragma once

#include "agent/why.h"

// Sets it to "seconds.nanoseconds" since 1970, UTC. 0 with the step in note, or -1 with the reason.
int clock_set(const char *time, char note[static WHY_MAX]);
