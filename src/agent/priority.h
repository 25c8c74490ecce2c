// Who runs first in the guest.
#pragma once

// The agent, before other programs, but not what it starts: Host waits for answers, and a new MAC
// wakes up programs that have much to do about it. Where that is not allowed nothing changes.
void priority_first(void);
