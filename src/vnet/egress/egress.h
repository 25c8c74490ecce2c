// The egress process: `vnet egress`, the lab's packets on one side, the host's sockets on the
// other, libslirp between them.
#pragma once

// With messages and frames (message.h) at the socket `fd`, and ports of the host that lead to
// guests at `inlets`. Returns the exit code at its end.
int egress_main(int fd, int inlets);
