// Host's end of the channel to tailmac-agent in the guest (agent/wire.h).
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/wire.h"
#include "base/err.h"
#include "host/settings.h"

struct agent;

// The streams of its session (stream.h).
struct streams {
    TAILQ_HEAD(stream_list, stream) list; // who waited longest for its turn first
    uint32_t last_id;
};

struct agent_hooks {
    void (*ready)(void *arg);   // a session is open
    void (*changed)(void *arg); // NICs or addresses are others than before, or it is lost
    void *arg;
};

// `fd` (taken) is Host's end of the channel.
struct agent *agent_new(struct event_base *base, int fd, const struct agent_hooks *hooks);
void agent_free(struct agent *a);

// A new session: after a boot, a reboot and a restore. Repeats its greeting until it is answered.
void agent_open(struct agent *a);
// Says nothing more and believes nothing more: before a save. Open requests and streams end with
// this reason.
void agent_close(struct agent *a, const char *why);

bool agent_is_ready(const struct agent *a);

// Called once; with ERR_TIMEOUT when the agent does not answer in time.
typedef void agent_done(void *arg, const struct err *why);

// Has the agent set all these. They stay the caller's, who keeps them until `done`; unless that
// brings an error they tell what became of each (settings.h). May be asked at once, before the
// session's greeting is answered: an agent that hears both deals with both.
void agent_set(struct agent *a, struct settings *settings, int limit_ms, agent_done *done,
               void *arg);

// Has the agent look at the guest, for what agent_status() tells of it; answers within 300 ms.
void agent_look(struct agent *a, agent_done *done, void *arg);

// -1: the agent that answers is one of before SET.
int agent_check_set(const struct agent *a, struct err *e);

// Whether the agent says that it can ("exec", "set").
bool agent_can(const struct agent *a, const char *what);

// For stream.c: frames of the open session. agent_send() is false for one that could not be made.
void agent_frame_begin(const struct agent *a, struct wire_writer *w, void *buf, size_t cap,
                       enum wire_type type);
bool agent_send(struct agent *a, struct wire_writer *w);
size_t agent_unsent(const struct agent *a);
int64_t agent_heard(const struct agent *a); // when it last said something, of clock_ms()
struct streams *agent_streams(struct agent *a);
struct event_base *agent_base(const struct agent *a);

// {"ready","agent","hostname","uptime","load","memory_total","memory_available","nics":[{"name","mac","up","addresses":[…]}]}
json_t *agent_status(const struct agent *a);
