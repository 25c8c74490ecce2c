// VMs as they are now: asked of their Host while one runs, read from their directory at rest.
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/client.h"
#include "vm/store.h"

// Everything about one VM as one document. A VM that cannot be read has an "error" in it, one that
// is not there any more (a fork that ended) the state "gone".
json_t *live_status(const struct store *s, const char *id);

// The same after a look into a running guest, for how busy it is; that may take 300 ms.
json_t *live_look(const struct store *s, const char *id);

// Whether live_status() was answered by a Host.
bool live_is_running(const json_t *status);

// A connection to the Host of a VM. ERR_NO_VM; ERR_NOT_RUNNING when it is at rest; ERR_BUSY when
// something else holds it.
struct client_conn *live_connect(const struct store *s, const char *id, struct err *e);

// One verb, one answer. ERR_NOT_RUNNING as above, and when the VM ended before it answered;
// ERR_FAILED when that was an accident.
json_t *live_call(const struct store *s, const char *id, const char *verb, json_t *args,
                  int64_t timeout_ms, struct err *e);

// Host ended in the middle of a call: *e says how the VM ended, once that is known. Always -1.
int live_explain_gone(const struct store *s, const char *id, struct err *e);

// What may be waited for.
struct live_goal {
    const char *words; // "running": the VM was not … in time
    bool (*reached)(const json_t *status, const void *arg);
    const void *arg;
    bool stopped; // the end of the run, which is a failure of all other goals
    bool guests;  // the guest has to do it: not while it is paused
};

// As live_wait().
json_t *live_wait_for(const struct store *s, const char *id, const struct live_goal *goal,
                      int64_t deadline, struct err *e);

// Waits until clock_ms() is `deadline` (< 0: for ever) for the VM to be "running", "ready", has an
// "ip", or is "stopped"; the status then. A VM that ends, fails or panics while something else is
// awaited is ERR_FAILED with the reason.
json_t *live_wait(const struct store *s, const char *id, const char *what, int64_t deadline,
                  struct err *e);

// Waits until the guest's agent can be asked, at most 30 s: longer than a boot. ERR_BUSY at once
// where the VM is paused.
int live_wait_agent(const struct store *s, const char *id, int64_t deadline, struct err *e);

// "running", "stopped (saved)", "panicked: …": for people. The caller frees.
char *live_summary(const json_t *status);
