// What a guest is given in one request (SET in agent/wire.h), and what became of it.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/wire.h"

enum { SETTINGS_MAX = 64 };

struct setting {
    const char *key; // as on the wire
    char *value;
    bool done;
    char *detail; // what the agent says of it; NULL: nothing yet
};

struct settings {
    struct setting list[SETTINGS_MAX];
    int count;
};

// Those that find no room are left out: check count first.
void settings_add(struct settings *s, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void settings_clear(struct settings *s);

// Random bytes of this host, for the guest's kernel.
void settings_add_entropy(struct settings *s);
// This host's time; the last thing before it is sent.
void settings_add_clock(struct settings *s);

void settings_put(const struct settings *s, struct wire_writer *w);
// The agent's answer. Of what it does not mention it is said that it did not.
void settings_take(struct settings *s, const struct wire_frame *f);

// The first with this key, or NULL.
const struct setting *settings_find(const struct settings *s, const char *key);
// [{"item","done","detail"}]
json_t *settings_report(const struct settings *s);
// "clock +3600.002 s, hostname failed: …"; and as a line of the log.
char *settings_summary(const struct settings *s);
void settings_log(const struct settings *s);
