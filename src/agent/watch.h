// "tailmac-agent watch": NIC events for scripts.
#pragma once

// Prints a line "EVENT NAME" for each NIC now and for each change later:
//   new   it appeared        up    it has a link now, or again
//   mac   its MAC changed    down  it has no link any more
//   gone  it was removed
// Returns only on failure.
int watch_run(void);
