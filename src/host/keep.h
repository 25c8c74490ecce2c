// Saving a fork as another VM.
#pragma once

#include "host/host.h"

// As engine_ops.save, of a fork whose guest stands still: into state_fd, which is in the directory
// vm_fd of a new VM. That has all that the fork's base is made of but the disk, which is made here,
// and firmware variables. Both descriptors stay the caller's, open until `done`.
void keep_state(struct host *h, int vm_fd, int state_fd, bool sync, engine_saved_done *done,
                void *arg);
