// Host's end of the channel to tailmac-agent in the guest (agent/wire.h).
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/parse.h"

struct agent;

struct agent_hooks {
    void (*ready)(void *arg);   // a session is open
    void (*changed)(void *arg); // NICs or addresses are others than before
    void *arg;
};

// `fd` (taken) is Host's end of the channel.
struct agent *agent_new(struct event_base *base, int fd, const struct agent_hooks *hooks);
void agent_free(struct agent *a);

// A new session: after a boot, a reboot and a restore. Repeats its greeting until it is answered.
void agent_open(struct agent *a);
// Says nothing more and believes nothing more: before a save.
void agent_close(struct agent *a);

bool agent_is_ready(const struct agent *a);

// Asks the guest to give the NIC with address `from` the address `to`. `done` is called once, with
// ERR_TIMEOUT when the agent does not answer.
typedef void agent_done(void *arg, const struct err *why);
void agent_set_clock(struct agent *a, agent_done *done,
                     void *arg); // to this host's, in the same way
void agent_set_mac(struct agent *a, const struct mac *from, const struct mac *to, agent_done *done,
                   void *arg);

// {"ready","version","hostname","uptime","nics":[{"name","mac","up","addresses":[…]}]}
json_t *agent_status(const struct agent *a);
