// run.json: how a VM's last run began and ended, so that a VM at rest says saved, shut down,
// halted, failed or killed. Written by Host only, while it holds the VM's lock.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

// The names of how a run ends; "running" in a file whose VM nobody holds means killed.
#define ENDED_RUNNING "running"
#define ENDED_SAVED "saved"
#define ENDED_SHUTDOWN "shutdown"
#define ENDED_HALTED "halted"
#define ENDED_FAILED "failed"
#define ENDED_KILLED "killed"
#define ENDED_NEVER "never-run"

// {"ended","reason","boot","started","at"}, owned by the caller; {"ended":"never-run"} without a
// file. `locked` tells whether somebody holds the VM now.
json_t *record_read(int vm_fd, bool locked);

int record_begin(int vm_fd, const char *boot, const char *note, struct err *e);
int record_end(int vm_fd, const char *ended, const char *reason, struct err *e);
