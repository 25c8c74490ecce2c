// JSON lines: one object a line, UTF-8, at most 1 MiB. What Host, vnet and vzhost speak.
//
// A request is {"id":7,"verb":"stop","args":{…}}; its answer {"id":7,"ok":{…}} or
// {"id":7,"error":{"code":"busy","message":"…"}}; an event {"event":"state",…}.
#pragma once

#include <event2/buffer.h>
#include <jansson.h>

#include "base/err.h"

enum { LINE_MAX_BYTES = 1 << 20 };

enum line_result {
    LINE_OK,       // *out is the object, owned by the caller
    LINE_NONE,     // no whole line is there yet
    LINE_BAD,      // not a JSON object; the line is consumed, the stream goes on
    LINE_TOO_LONG, // the stream is lost
};

// Takes one whole line out of `in`; the last two results set *e.
enum line_result line_take(struct evbuffer *in, json_t **out, struct err *e);

// An object and a newline; the caller frees. Neither takes the reference.
char *line_text(const json_t *object);
// The same at the end of `out`.
void line_put(struct evbuffer *out, const json_t *object);

// {"id":…,"ok":…} and {"id":…,"error":{…}}; `id` may be NULL, `ok` is taken.
json_t *line_answer_ok(const json_t *id, json_t *ok);
json_t *line_answer_error(const json_t *id, const struct err *why);

// What is in an answer (borrowed), or NULL with the error that is in it. As caller.h wants it.
const json_t *line_unpack(const json_t *answer, const char *what, struct err *e);
