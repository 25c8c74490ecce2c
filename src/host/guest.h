// The verb `guest`: what is to be set in the guest, now.
#pragma once

#include "host/host.h"

void guest_set(struct host *h, struct request *rq, const json_t *args);
