// The codec of JSON lines over libevent buffers.
#include "proto/line.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

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

char *line_text(const json_t *object)
{
    AUTO_FREE char *text = json_dumps(object, JSON_COMPACT);
    return xasprintf("%s\n", text);
}

void line_put(struct evbuffer *out, const json_t *object)
{
    AUTO_FREE char *text = line_text(object);
    evbuffer_add(out, text, strlen(text));
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

const json_t *line_unpack(const json_t *answer, const char *what, struct err *e)
{
    (void)what;
    const char *code = NULL;
    const char *message = NULL;
    const json_t *ok = json_object_get(answer, "ok");
    if (ok)
        return ok;
    if (json_unpack((json_t *)answer, "{s:{s:s, s:s}}", "error", "code", &code, "message",
                    &message) < 0)
        err_set(e, ERR_FAILED, "the server's answer is neither ok nor error");
    else
        err_set(e, err_code_parse(code), "%s", message);
    return NULL;
}
