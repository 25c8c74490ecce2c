// The egress process: `vnet egress`, the lab's packets on one side, the host's sockets on the
// other, libslirp between them.
#pragma once

// With the lab's frames at one socket (proto/framing.h), messages (message.h) at the other. Returns
// the exit code at its end.
int egress_main(int frames, int messages);
