// The table of commands, for those that deal with frames of streams.
#pragma once

#include "agent/commands.h"
#include "agent/running.h"

// Its place in the table; COMMANDS_MAX: there is none.
unsigned commands_find(const struct commands *s, uint32_t id);
// A new one, or NULL: no room, which Host will be told.
struct running *commands_add(struct commands *s, uint32_t id);
// Takes the one at place i out, and lets it go on; or ends it, too. The last one takes its place.
void commands_drop(struct commands *s, unsigned i);
void commands_kill(struct commands *s, unsigned i);
// What Host calls a job.
void commands_job_name(const struct commands *s, const struct running *st, char out[static 32]);
