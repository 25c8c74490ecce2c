// The server side of the control protocol: a unix stream socket, 0600, same uid only.
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

struct server;
struct request; // one request that waits for its answer

// A verb's handler answers at once or keeps `rq` and answers later; exactly one answer each. The
// request stays valid when its client goes away (the answer is then dropped).
struct verb {
    const char *name;
    void (*handle)(void *arg, struct request *rq, const json_t *args);
};

void request_ok(struct request *rq, json_t *ok); // takes ok; NULL is {}
void request_error(struct request *rq, const struct err *why);

// The descriptor that came with the request (SCM_RIGHTS), close-on-exec, now the caller's; -1 where
// there is none. For the handler, before it returns: what it leaves is closed soon.
int request_take_fd(struct request *rq);

// The number of the connection that asks, never used again by this server; 0 once it has ended.
uint64_t request_client(const struct request *rq);

// Listens at `path` (a leftover there is unlinked: the caller holds the lock that guards it) and
// greets every client with `hello` (taken). `verbs` ends with name NULL; "events" is added: after
// it the client gets every server_event().
struct server *server_new(struct event_base *base, const char *path, json_t *hello,
                          const struct verb *verbs, void *arg, struct err *e);
void server_event(struct server *s, json_t *event); // takes event; s NULL: nobody listens
// The same, and `client` gets it also where it has not asked for events.
void server_event_for(struct server *s, uint64_t client, json_t *event);
// As many clients at once, if not more; for the owner of a new server. The next one waits.
void server_allow(struct server *s, unsigned clients);
// From now on `ended` is told of each connection that ends, with the verbs' `arg`; server_free()
// tells nobody.
void server_on_client_end(struct server *s, void (*ended)(void *arg, uint64_t client));
// Stops listening and unlinks the socket; clients that are connected stay.
void server_retire(struct server *s);
// Retires, sends what is queued (briefly, bounded), frees all.
void server_free(struct server *s);
