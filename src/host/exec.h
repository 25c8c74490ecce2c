// Commands in the guest for clients of the control socket.
#pragma once

#include <jansson.h>
#include <stdint.h>
#include <sys/queue.h>

#include "host/agent.h"
#include "proto/server.h"

// Those that run. A client has one at a time.
struct execs {
    struct agent *agent;
    LIST_HEAD(, exec) list;
    int count;
};

// The verbs, whose arguments are in docs/interfaces.md. exec_start() takes the descriptors that
// came with the request: a stream socket for input and output, and one for errors.
void exec_start(struct execs *all, struct request *rq, const json_t *args);
void exec_signal(struct execs *all, struct request *rq, const json_t *args);
void exec_resize(struct execs *all, struct request *rq, const json_t *args);
// What this client has running is killed.
void exec_client_ended(struct execs *all, uint64_t client);
// Before the agent goes: all are.
void exec_end_all(struct execs *all);
