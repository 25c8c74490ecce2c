// The way into Host, and the parts that boot.c opens when it knows what will run.
#pragma once

#include "host/host.h"

// Runs the VM until it ends. 0: saved, shut down or halted.
int host_run(struct host_options *options, struct err *e);

const struct engine_callbacks *host_engine_callbacks(struct host *h, struct engine_callbacks *out);
int host_open_channels(struct host *h, int console_fd, int agent_fd, struct err *e);
void host_open_agent(struct host *h, int fd);             // instead of the one there is
int host_open_control(struct host *h, struct err *e);     // its socket, and the engine's log
int host_open_nic(struct host *h, int fd, struct err *e); // as nic_new()
int host_open_vsock(struct host *h, struct err *e);       // where the configuration has one
