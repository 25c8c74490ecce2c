// Fuzzes what a guest's agent says to Host. Inputs are frames with a NUL after each: its type in
// the first byte, then lines "key=value"; an input that begins with 0xff is bytes as they are.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/wire.h"
#include "host/stream.h"
#include "proto/unix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct session {
    struct event_base *base;
    struct agent *agent;
    int fd;
    uint32_t nonce;
    int done;
    struct settings settings;
    struct stream *stream;
    uint64_t got[STREAM_PARTS];
};

// Fit to be shown: no control characters. (UTF-8 it is, or jansson would not have taken it.)
// NOLINTNEXTLINE(misc-no-recursion): as deep as our own document
static void check(const json_t *value)
{
    size_t i;
    const char *key;
    json_t *one;
    for (const char *p = json_string_value(value); p && *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            abort();
    json_array_foreach(value, i, one) {
        check(one);
    }
    json_object_foreach((json_t *)value, key, one) {
        check(one);
    }
}

static void on_change(void *arg)
{
    const struct session *s = arg;
    json_t *status = agent_status(s->agent);
    check(status);
    json_decref(status);
}

static void on_ready(void *arg)
{
    const struct session *s = arg;
    if (!agent_is_ready(s->agent))
        abort();
    on_change(arg);
}

static void on_done(void *arg, const struct err *why)
{
    struct session *s = arg;
    json_t *report = settings_report(&s->settings);
    check(report);
    json_decref(report);
    for (int i = 0; i < s->settings.count; i++)
        if (!why && !s->settings.list[i].detail)
            abort();
    s->done++;
}

// Nothing beyond the window that was granted.
static void on_output(void *arg, enum stream_part part, const void *data, size_t n)
{
    struct session *s = arg;
    s->got[part] += n;
    if (s->got[part] > WIRE_WINDOW || (n > 0 && !data))
        abort();
}

static void on_writable(void *arg)
{
    struct session *s = arg;
    size_t room = stream_room(s->stream);
    if (room > 0)
        stream_input(s->stream, "x", 1);
}

static void on_ended(void *arg, const struct stream_end *how, const struct err *why)
{
    struct session *s = arg;
    s->stream = NULL;
    if (!how == !why || (how && (how->code < 0 || how->code > 255)))
        abort();
}

static void open_stream(struct session *s)
{
    struct stream_hooks hooks = {on_output, on_writable, on_ended, s};
    struct stream_order order = {.words = "atrue", .length = 6};
    struct err e;
    memset(s->got, 0, sizeof s->got);
    if (!s->stream)
        s->stream = stream_exec(s->agent, &order, &hooks, &e);
}

static void say(struct session *s, const void *data, size_t size)
{
    const char *at = data;
    for (int idle = 0; size > 0 && idle < 8; idle++) {
        ssize_t n = send(s->fd, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            at += n;
            size -= (size_t)n;
            idle = 0;
        }
        event_base_loop(s->base, EVLOOP_NONBLOCK);
    }
}

static void say_frame(struct session *s, const uint8_t *data, size_t size)
{
    static unsigned char frame[WIRE_FRAME_MAX];
    static char text[WIRE_PAYLOAD_MAX];
    struct wire_writer w;
    if (size == 0 || size > sizeof text)
        return;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    wire_begin(&w, frame, sizeof frame, data[0] % WIRE_TYPE_END, s->nonce);
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *value = strchr(line, '=');
        if (!value || value == line)
            continue;
        *value = 0;
        wire_put(&w, line, "%s", value + 1);
    }
    say(s, frame, wire_end(&w));
}

static void begin(struct session *s)
{
    static unsigned char held[WIRE_FRAME_MAX];
    const struct agent_hooks hooks = {.ready = on_ready, .changed = on_change, .arg = s};
    struct wire_decoder d;
    struct wire_frame hello;
    struct err e;
    int ends[2];
    if (unix_pair(ends, &e) < 0)
        abort();
    s->base = event_base_new();
    s->agent = agent_new(s->base, ends[0], &hooks);
    s->fd = ends[1];
    agent_open(s->agent);
    settings_add(&s->settings, "hostname", "x");
    settings_add(&s->settings, "sync", "1");
    agent_set(s->agent, &s->settings, 5000, on_done, s);
    event_base_loop(s->base, EVLOOP_NONBLOCK);
    wire_decoder_init(&d, held, sizeof held);
    ssize_t n = recv(s->fd, held, sizeof held, MSG_DONTWAIT);
    if (n <= 0)
        abort();
    wire_added(&d, (size_t)n);
    if (!wire_next(&d, &hello))
        abort();
    s->nonce = hello.nonce;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session s = {0};
    begin(&s);
    if (size > 0 && data[0] == 0xff) {
        say(&s, data + 1, size - 1);
        size = 0;
    }
    while (size > 0) {
        const uint8_t *end = memchr(data, 0, size);
        size_t n = end ? (size_t)(end - data) : size;
        say_frame(&s, data, n);
        open_stream(&s);
        data += end ? n + 1 : n;
        size -= end ? n + 1 : n;
    }
    agent_free(s.agent);
    if (s.done != 1)
        abort();
    settings_clear(&s.settings);
    event_base_free(s.base);
    close(s.fd);
    return 0;
}
