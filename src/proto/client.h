// The client side of the control protocol, for programs that wait: blocking, with deadlines.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct client_conn;

// Connects and reads the greeting. NULL with *e; *absent (may be NULL) is true when nobody listens.
struct client_conn *client_open(const char *path, bool *absent, struct err *e);
void client_close(struct client_conn *c);

const json_t *client_hello(const struct client_conn *c);

// Sends a request (args taken, may be NULL) and waits for its answer; events that arrive meanwhile
// are kept for client_event(). Returns the "ok" object, owned by the caller; NULL with the server's
// error, ERR_TIMEOUT after `timeout_ms` (< 0: never), or ERR_FAILED when the server went away
// (*gone, may be NULL).
json_t *client_call(struct client_conn *c, const char *verb, json_t *args, int64_t timeout_ms,
                    bool *gone, struct err *e);

// The next event, owned by the caller; errors as above.
json_t *client_event(struct client_conn *c, int64_t timeout_ms, bool *gone, struct err *e);

// The same in two steps, for who waits for other things, too. client_send() gives the request's
// number, -1 with *e; `fds` go along (unix_send()).
json_int_t client_send(struct client_conn *c, const char *verb, json_t *args, const int *fds,
                       int count, struct err *e);
// Waits for the answer to that request, as client_call() does.
json_t *client_wait(struct client_conn *c, json_int_t id, int64_t timeout_ms, bool *gone,
                    struct err *e);
// To be polled for reading before client_answer().
int client_fd(const struct client_conn *c);
// Reads what is there. 1: *ok is the answer to that request, owned by the caller; 0: it has not
// come yet; -1 with the server's error, or *gone. Answers to other requests are passed over.
int client_answer(struct client_conn *c, json_int_t id, json_t **ok, bool *gone, struct err *e);
