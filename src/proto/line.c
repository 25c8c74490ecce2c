// The codec of JSON lines over libevent buffers.
#include "proto/line.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum line_result line_take(struct evbuffer *in, json_t **out, struct err *e)
{
    *out = NULL;
    size_t n;
    AUTO_FREE char *text = evbuffer_readln(in, &n, EVBUFFER_EOL_LF);
    if (n > LINE_MAX_BYTES || (!text && evbuffer_get_length(in) > LINE_MAX_BYTES)) {
        err_set(e, ERR_USAGE, "a line is longer than %d bytes", LINE_MAX_BYTES);
        return LINE_TOO_LONG;
    }
    if (!text)
        return LINE_NONE;
    json_error_t why;
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    if (json_is_object(*out))
        return LINE_OK;
    json_decref(*out);
    err_set(e, ERR_USAGE, "not a JSON object: %s", *out ? "another type" : why.text);
    *out = NULL;
    return LINE_BAD;
}

void line_put(struct evbuffer *out, const json_t *object)
{
    AUTO_FREE char *text = json_dumps(object, JSON_COMPACT);
    evbuffer_add(out, text, strlen(text));
    evbuffer_add(out, "\n", 1);
}

static json_t *with_id(const json_t *id)
{
    json_t *answer = json_object();
    json_object_set_new(answer, "id", id ? json_deep_copy(id) : json_null());
    return answer;
}

json_t *line_answer_ok(const json_t *id, json_t *ok)
{
    json_t *answer = with_id(id);
    json_object_set_new(answer, "ok", ok ? ok : json_object());
    return answer;
}

json_t *line_answer_error(const json_t *id, const struct err *why)
{
    json_t *answer = with_id(id);
    json_object_set_new(
        answer, "error",
        json_pack("{s:s, s:s}", "code", err_code_name(why->code), "message", why->msg));
    return answer;
}
