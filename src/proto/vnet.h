// Where a vnet is found that was told nothing else.
#pragma once

#define VNET_LISTEN "/tmp/qemu-dgram.sock" // datagrams: frames
#define VNET_CONTROL_SUFFIX ".ctl"         // after the datagram socket's path: the control socket
