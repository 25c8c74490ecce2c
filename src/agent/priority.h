// Who runs first in the guest.
#pragma once

enum priority { PRIORITY_NORMAL, PRIORITY_FIRST };

// Of the agent, not of what it starts. Where that is not allowed nothing changes.
void priority_set(enum priority p);
