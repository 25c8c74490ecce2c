// Asking Hosts, and reading what they left.
#include "cli/live.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "cli/address.h"
#include "cli/pool.h"
#include "vm/children.h"
#include "vm/disk.h"
#include "vm/fork.h"
#include "vm/record.h"
#include "vm/saved.h"

enum {
    CALL_MS = 10000,
    // A Host takes its lock a moment before it listens, and drops it a moment after.
    SETTLE_MS = 5000,
    SETTLE_STEP_MS = 5,
    AGENT_MS = 30000,
};

static struct client_conn *connect_once(const struct store *s, const char *id, struct err *e)
{
    AUTO_FREE char *path = NULL;
    if (runtime_path(s, id, RUNTIME_CONTROL, &path, e) < 0)
        return NULL;
    return client_open(path, NULL, e);
}

struct client_conn *live_connect(const struct store *s, const char *id, struct err *e)
{
    struct vm vm;
    if (vm_open_unread(s, id, LOCK_NONE, &vm, e) < 0)
        return NULL;
    int64_t deadline = clock_ms() + SETTLE_MS;
    struct client_conn *c;
    while (!(c = connect_once(s, id, e))) {
        if (lock_held(vm.fd, VM_LOCK) != LOCK_EXCLUSIVE) // a copy or a linked clone may read it
            err_set(e, ERR_NOT_RUNNING, "VM '%s' is not running", id);
        else if (clock_ms() > deadline)
            err_set(e, ERR_BUSY,
                    "VM '%s' is in use, but no Host answers for it (was it run with another "
                    "XDG_RUNTIME_DIR?)",
                    id);
        else if (poll(NULL, 0, SETTLE_STEP_MS) >= 0)
            continue;
        break;
    }
    vm_close(&vm);
    return c;
}

static json_t *call(const struct store *s, const char *id, const char *verb, json_t *args,
                    int64_t timeout_ms, bool *gone, struct err *e)
{
    struct client_conn *c = live_connect(s, id, e);
    if (!c) {
        json_decref(args);
        return NULL;
    }
    json_t *answer = client_call(c, verb, args, timeout_ms, gone, e);
    client_close(c);
    return answer;
}

static json_t *forks_of(const struct vm *base)
{
    json_t *list = json_array();
    char **ids = forks_list(base->store, base->id);
    for (char **id = ids; *id; id++)
        json_array_append_new(list, json_string(*id));
    store_list_free(ids);
    return list;
}

static void add_rest(json_t *doc, const struct vm *vm, enum lock_kind held)
{
    json_t *record = record_read(vm->fd, held == LOCK_EXCLUSIVE);
    json_object_update_missing(doc, record);
    json_decref(record);
    json_object_set_new(doc, "state", json_string(held == LOCK_EXCLUSIVE ? "busy" : "stopped"));
    json_object_set_new(doc, "saved", json_boolean(saved_find(vm->fd) == SAVED_READY));
    if (held != LOCK_SHARED)
        return;
    json_object_set_new(doc, "forks", forks_of(vm));
    json_t *pool = pool_status(vm->store, vm->id);
    if (pool)
        json_object_set_new(doc, "pool", pool);
}

static json_t *config_facts(const struct vm *vm)
{
    char mac[MAC_TEXT];
    char ethermac[MAC_TEXT];
    mac_format(&vm->config.mac, mac);
    mac_format(&vm->config.ethermac, ethermac);
    return json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:I}", "arch", vm->config.arch, "memorySize",
                     (json_int_t)vm->config.memory_size, "cpus", (json_int_t)vm->config.cpus, "mac",
                     mac, "ethermac", ethermac, "serverSocket", vm->config.server_socket, "port",
                     (json_int_t)vm->config.port);
}

// What its disk is linked to.
static void add_parent(json_t *doc, const struct vm *vm)
{
    struct disk_info info;
    struct err ignored;
    const char *format = vm->config.disk_format;
    if (format && strcmp(format, "qcow2") == 0 && disk_probe_own(vm->fd, &info, &ignored) == 0 &&
        *info.link.parent)
        json_object_set_new(doc, "parent", json_string(info.link.parent));
}

static void add_children(json_t *doc, const struct store *s, const char *id)
{
    char **children = children_of(s, id);
    json_t *list = json_array();
    for (char **child = children; child && *child; child++)
        json_array_append_new(list, json_string(*child));
    store_list_free(children);
    if (json_array_size(list) > 0)
        json_object_set(doc, "children", list);
    json_decref(list);
}

static json_t *status_of(const struct store *s, const char *id, bool look)
{
    struct vm vm;
    struct err e;
    json_t *doc = json_pack("{s:s}", "id", id);
    if (vm_open(s, id, LOCK_NONE, &vm, &e) < 0) {
        bool gone = e.code == ERR_NO_VM;
        json_object_set_new(doc, "state", json_string(gone ? "gone" : "unreadable"));
        if (gone)
            return doc;
        json_object_set_new(doc, "error", json_string(e.msg));
        return doc;
    }
    json_object_set_new(
        doc, "directory",
        json_sprintf("%s/%s%s", vm.fork ? s->runtime : s->path, vm.fork ? "forks/" : "", id));
    enum lock_kind held = lock_held(vm.fd, VM_LOCK);
    json_t *host = held == LOCK_EXCLUSIVE
                       ? call(s, id, "status", json_pack("{s:b}", "look", look), CALL_MS, NULL, &e)
                       : NULL;
    if (host) {
        json_object_update(doc, host);
        json_decref(host);
    } else {
        add_rest(doc, &vm, lock_held(vm.fd, VM_LOCK));
    }
    json_t *config = config_facts(&vm);
    json_object_update_missing(doc, config);
    json_decref(config);
    add_parent(doc, &vm);
    vm_close(&vm);
    return doc;
}

json_t *live_status(const struct store *s, const char *id)
{
    return status_of(s, id, false);
}

json_t *live_look(const struct store *s, const char *id)
{
    json_t *doc = status_of(s, id, true);
    add_children(doc, s, id);
    return doc;
}

bool live_is_running(const json_t *status)
{
    return json_object_get(status, "pid") != NULL;
}

static const char *text_of(const json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));
    return text ? text : "";
}

char *live_summary(const json_t *status)
{
    const char *state = text_of(status, "state");
    const char *reason = text_of(status, "reason");
    if (*text_of(status, "error"))
        return xasprintf("%s: %s", state, text_of(status, "error"));
    if (live_is_running(status))
        return xasprintf("%s%s%s", state, *reason ? ": " : "", reason);
    const char *ended = text_of(status, "ended");
    if (!*ended)
        return xstrdup(state);
    if (json_is_true(json_object_get(status, "saved")))
        return xasprintf("%s (saved)", state);
    if (strcmp(ended, ENDED_SAVED) == 0)
        return xasprintf("%s (its saved state is gone)", state);
    bool tell = strcmp(ended, ENDED_FAILED) == 0 && *reason;
    return xasprintf("%s (%s%s%s)", state, ended, tell ? ": " : "", tell ? reason : "");
}

static bool is_running(const json_t *status, const void *arg)
{
    (void)arg;
    return strcmp(text_of(status, "state"), "running") == 0;
}

static bool is_ready(const json_t *status, const void *arg)
{
    (void)arg;
    return json_is_true(json_object_get(json_object_get(status, "agent"), "ready"));
}

static bool has_ip(const json_t *status, const void *arg)
{
    (void)arg;
    return is_running(status, NULL) && has_address(status, &(struct address_choice){0});
}

static bool never(const json_t *status, const void *arg) // the end is told by Host's
{
    (void)status;
    (void)arg;
    return false;
}

static const struct {
    const char *what;
    struct live_goal goal;
} goals[] = {
    {"running", {.words = "running", .reached = is_running}},
    {"ready", {.words = "ready", .reached = is_ready}},
    {"ip", {.words = "given an address", .reached = has_ip}},
    {"stopped", {.words = "stopped", .reached = never, .stopped = true}},
};

// 1: it is so; 0: not yet; -1: it will not be.
static int judge(const json_t *status, const struct live_goal *goal, struct err *e)
{
    const char *state = text_of(status, "state");
    if (goal->reached(status, goal->arg))
        return 1;
    if (!goal->stopped && (strcmp(state, "panicked") == 0 || strcmp(state, "io-error") == 0))
        return err_set(e, ERR_FAILED, "VM '%s' is %s: %s", text_of(status, "id"), state,
                       text_of(status, "reason"));
    if (goal->guests && strcmp(state, "paused") == 0)
        return err_set(e, ERR_BUSY, "VM '%s' is paused: 'tailmac resume' lets it go on",
                       text_of(status, "id"));
    return 0;
}

// Host is gone, or about to be: waits until its lock is free and tells how the run ended.
static json_t *wait_for_rest(const struct store *s, const char *id, int64_t deadline, struct err *e)
{
    struct vm vm;
    if (vm_open_unread(s, id, LOCK_NONE, &vm, e) < 0)
        return e->code == ERR_NO_VM ? live_status(s, id) : NULL;
    while (lock_held(vm.fd, VM_LOCK) == LOCK_EXCLUSIVE && clock_ms() < deadline)
        poll(NULL, 0, SETTLE_STEP_MS);
    vm_close(&vm);
    return live_status(s, id);
}

// Where it was no accident the call came too late, no more.
int live_explain_gone(const struct store *s, const char *id, struct err *e)
{
    struct err ignored;
    json_t *status = wait_for_rest(s, id, clock_ms() + SETTLE_MS, &ignored);
    if (!status)
        return -1;
    AUTO_FREE char *summary = live_summary(status);
    bool stopped = choice_valid("stopped|gone", text_of(status, "state"));
    bool accident = choice_valid(ENDED_FAILED "|" ENDED_KILLED, text_of(status, "ended")) &&
                    !json_is_true(json_object_get(status, "saved"));
    if (stopped)
        err_set(e, accident ? ERR_FAILED : ERR_NOT_RUNNING, "VM '%s' ended meanwhile: %s", id,
                summary);
    json_decref(status);
    return -1;
}

json_t *live_call(const struct store *s, const char *id, const char *verb, json_t *args,
                  int64_t timeout_ms, struct err *e)
{
    bool gone = false;
    json_t *answer = call(s, id, verb, args, timeout_ms, &gone, e);
    if (!answer && gone)
        live_explain_gone(s, id, e);
    return answer;
}

static json_t *ended_instead(const struct store *s, const char *id, const struct live_goal *goal,
                             int64_t deadline, struct err *e)
{
    int64_t settle = clock_ms() + SETTLE_MS;
    json_t *status =
        wait_for_rest(s, id, deadline >= 0 && deadline < settle ? deadline : settle, e);
    if (!status || goal->stopped)
        return status;
    AUTO_FREE char *summary = live_summary(status);
    err_set(e, ERR_FAILED, "VM '%s' ended before it was %s: %s", id, goal->words, summary);
    json_decref(status);
    return NULL;
}

// Looks, then waits for an event and looks again.
static json_t *watch(struct client_conn *c, const struct live_goal *goal, int64_t deadline,
                     bool *gone, struct err *e)
{
    json_t *ok = client_call(c, "events", NULL, CALL_MS, gone, e);
    json_decref(ok);
    while (ok) {
        json_t *status = client_call(c, "status", NULL, CALL_MS, gone, e);
        int verdict = status ? judge(status, goal, e) : -1;
        if (verdict == 1)
            return status;
        json_decref(status);
        if (verdict < 0)
            return NULL;
        int64_t left = deadline < 0 ? -1 : deadline - clock_ms();
        json_t *event = client_event(c, deadline >= 0 && left < 0 ? 0 : left, gone, e);
        if (!event)
            return NULL;
        json_decref(event);
    }
    return NULL;
}

// A boot that hangs is told by the last thing the guest said.
static void explain_timeout(const struct store *s, const char *id, const struct live_goal *goal,
                            struct err *e)
{
    json_t *status = live_status(s, id);
    const char *last = text_of(status, "console_last");
    err_set(e, ERR_TIMEOUT, "VM '%s' was not %s in time%s%s%s", id, goal->words,
            *last ? "; its console last said \"" : "", last, *last ? "\"" : "");
    json_decref(status);
}

json_t *live_wait_for(const struct store *s, const char *id, const struct live_goal *goal,
                      int64_t deadline, struct err *e)
{
    struct client_conn *c = live_connect(s, id, e);
    if (!c && e->code == ERR_NOT_RUNNING && goal->stopped)
        return live_status(s, id);
    if (!c)
        return NULL;
    bool gone = false;
    json_t *status = watch(c, goal, deadline, &gone, e);
    client_close(c);
    if (!status && gone)
        return ended_instead(s, id, goal, deadline, e);
    if (!status && e->code == ERR_TIMEOUT)
        explain_timeout(s, id, goal, e);
    return status;
}

json_t *live_wait(const struct store *s, const char *id, const char *what, int64_t deadline,
                  struct err *e)
{
    for (size_t i = 0; i < sizeof goals / sizeof *goals; i++)
        if (strcmp(goals[i].what, what) == 0)
            return live_wait_for(s, id, &goals[i].goal, deadline, e);
    err_set(e, ERR_USAGE, "there is no waiting for '%s'", what);
    return NULL;
}

int live_wait_agent(const struct store *s, const char *id, int64_t deadline, struct err *e)
{
    static const struct live_goal goal = {.words = "ready", .reached = is_ready, .guests = true};
    int64_t limit = clock_ms() + AGENT_MS;
    json_t *status =
        live_wait_for(s, id, &goal, deadline >= 0 && deadline < limit ? deadline : limit, e);
    json_decref(status);
    return status ? 0 : -1;
}
