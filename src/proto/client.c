// Requests and events over a blocking connection.
#include "proto/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proto/line.h"
#include "proto/unix.h"

struct client_conn {
    int fd;
    struct evbuffer *in;
    json_t *hello;
    json_t *events; // array: arrived while an answer was awaited
    json_int_t next_id;
};

enum { HELLO_MS = 10000 };

// One more line from the server: 0 with *out, -1 with *e.
static int read_line(struct client_conn *c, int64_t deadline, json_t **out, bool *gone,
                     struct err *e)
{
    for (;;) {
        enum line_result r = line_take(c->in, out, e);
        if (r == LINE_OK)
            return 0;
        if (r != LINE_NONE)
            return err_wrap(e, "the server sent nonsense");
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        int64_t left = deadline < 0 ? -1 : deadline - clock_ms();
        if (deadline >= 0 && left < 0)
            left = 0;
        int n = poll(&p, 1, (int)left);
        if (n < 0 && errno == EINTR)
            return err_set(e, ERR_INTERRUPTED, "interrupted");
        if (n == 0)
            return err_set(e, ERR_TIMEOUT, "timed out");
        if (evbuffer_read(c->in, c->fd, -1) <= 0) {
            if (gone)
                *gone = true;
            return err_set(e, ERR_FAILED, "the server went away");
        }
    }
}

static int64_t deadline_of(int64_t timeout_ms)
{
    return timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
}

struct client_conn *client_open(const char *path, bool *absent, struct err *e)
{
    int fd = unix_connect(path, absent, e);
    if (fd < 0)
        return NULL;
    struct client_conn *c = xcalloc(1, sizeof *c);
    c->fd = fd;
    c->in = evbuffer_new();
    c->events = json_array();
    if (read_line(c, deadline_of(HELLO_MS), &c->hello, absent, e) < 0) {
        client_close(c);
        return NULL;
    }
    return c;
}

void client_close(struct client_conn *c)
{
    if (!c)
        return;
    close(c->fd);
    evbuffer_free(c->in);
    json_decref(c->hello);
    json_decref(c->events);
    free(c);
}

const json_t *client_hello(const struct client_conn *c)
{
    return c->hello;
}

json_int_t client_send(struct client_conn *c, const char *verb, json_t *args, const int *fds,
                       int count, struct err *e)
{
    json_int_t id = ++c->next_id;
    json_t *request =
        json_pack("{s:I, s:s, s:o}", "id", id, "verb", verb, "args", args ? args : json_object());
    AUTO_FREE char *text = line_text(request);
    json_decref(request);
    if (unix_send(c->fd, text, strlen(text), fds, count) < 0)
        return err_set(e, ERR_FAILED, "the server went away");
    return id;
}

int client_fd(const struct client_conn *c)
{
    return c->fd;
}

// NULL with *e, *mine where the line is the answer to that request.
static json_t *unpack(const json_t *line, json_int_t id, bool *mine, struct err *e)
{
    *mine = json_integer_value(json_object_get(line, "id")) == id;
    return *mine ? json_incref((json_t *)line_unpack(line, "the request", e)) : NULL;
}

int client_answer(struct client_conn *c, json_int_t id, json_t **ok, bool *gone, struct err *e)
{
    json_t *line;
    enum line_result r;
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (poll(&p, 1, 0) > 0 && evbuffer_read(c->in, c->fd, -1) <= 0)
        *gone = true;
    while ((r = line_take(c->in, &line, e)) == LINE_OK) {
        bool mine;
        *ok = unpack(line, id, &mine, e);
        json_decref(line);
        if (mine)
            return *ok ? 1 : -1;
    }
    if (r != LINE_NONE)
        return err_wrap(e, "the server sent nonsense");
    return *gone ? err_set(e, ERR_FAILED, "the server went away") : 0;
}

json_t *client_call(struct client_conn *c, const char *verb, json_t *args, int64_t timeout_ms,
                    bool *gone, struct err *e)
{
    json_int_t id = client_send(c, verb, args, NULL, 0, e);
    if (id >= 0)
        return client_wait(c, id, timeout_ms, gone, e);
    if (gone)
        *gone = true;
    return NULL;
}

json_t *client_wait(struct client_conn *c, json_int_t id, int64_t timeout_ms, bool *gone,
                    struct err *e)
{
    int64_t deadline = deadline_of(timeout_ms);
    json_t *line;
    while (read_line(c, deadline, &line, gone, e) == 0) {
        if (json_object_get(line, "event")) {
            json_array_append_new(c->events, line);
            continue;
        }
        bool mine;
        json_t *ok = unpack(line, id, &mine, e);
        json_decref(line);
        if (mine)
            return ok;
    }
    return NULL;
}

json_t *client_event(struct client_conn *c, int64_t timeout_ms, bool *gone, struct err *e)
{
    json_t *event = json_incref(json_array_get(c->events, 0));
    if (event) {
        json_array_remove(c->events, 0);
        return event;
    }
    int64_t deadline = deadline_of(timeout_ms);
    while (read_line(c, deadline, &event, gone, e) == 0) {
        if (json_object_get(event, "event"))
            return event;
        json_decref(event);
    }
    return NULL;
}
