// The verbs of Host's control socket.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "host/fork.h"
#include "host/guest.h"

bool host_ready(const struct host *h)
{
    return h->state == ST_RUNNING && macs_right(h) && h->identity_right && h->agent &&
           agent_is_ready(h->agent);
}

static json_t *nic_document(const struct host *h, int i)
{
    const struct host_nic *n = &h->nics[i];
    char mac[MAC_TEXT];
    mac_format(&n->actual, mac);
    json_t *doc = json_pack("{s:i, s:s, s:s}", "id", i, "role",
                            n->role == NIC_NAT ? "nat" : "socket", "mac", mac);
    if (memcmp(&n->actual, &n->mac, sizeof n->mac) != 0) {
        mac_format(&n->mac, mac);
        json_object_set_new(doc, "wanted_mac", json_string(mac));
    }
    if (n->role == NIC_SOCKET && h->nic) {
        json_t *link = nic_status(h->nic);
        json_object_update(doc, link);
        json_decref(link);
    }
    return doc;
}

static void add_path(const struct host *h, json_t *doc, const char *key, const char *suffix)
{
    struct err e;
    char *path = NULL;
    if (runtime_path(&h->store, h->options->id, suffix, &path, &e) == 0)
        json_object_set_new(doc, key, json_string(path));
    free(path);
}

json_t *host_status(const struct host *h)
{
    json_t *doc = json_pack("{s:s, s:s, s:s?, s:s, s:s?, s:i, s:s}", "id", h->options->id, "state",
                            state_name(h->state), "reason", h->reason, "boot",
                            h->resumed ? "resumed" : "cold", "note", h->note, "pid", (int)getpid(),
                            "started", h->started);
    if (h->engine) {
        json_object_set_new(doc, "engine_pid", json_integer(h->ops->pid(h->engine)));
        json_object_set_new(doc, "engine", h->ops->describe(h->engine));
        if (h->ops->ssh_port(h->engine))
            json_object_set_new(doc, "ssh_port", json_integer(h->ops->ssh_port(h->engine)));
    }
    json_object_set_new(doc, "memory", json_integer((json_int_t)h->vm.config.memory_size));
    if (h->console)
        json_object_set_new(doc, "console_last", json_string(console_last(h->console)));
    add_path(h, doc, "control", RUNTIME_CONTROL);
    add_path(h, doc, "console", RUNTIME_CONSOLE);
    json_t *nics = json_array();
    for (int i = 0; i < h->nic_count; i++)
        json_array_append_new(nics, nic_document(h, i));
    json_object_set_new(doc, "nics", nics);
    if (h->fork)
        json_object_set_new(doc, "fork", fork_status(h->fork));
    if (h->vsock)
        json_object_set_new(doc, "vsock", vsock_status(h->vsock));
    json_t *agent = h->agent ? agent_status(h->agent) : json_object();
    json_object_set_new(agent, "ready", json_boolean(host_ready(h)));
    if (h->identity.refused)
        json_object_set(agent, "refused", h->identity.refused);
    json_object_set_new(doc, "agent", agent);
    return doc;
}

struct look {
    struct host *host;
    struct request *rq;
};

static void on_looked(void *arg, const struct err *why)
{
    (void)why; // an agent that is old, slow or gone: there is less to tell
    struct look *look = arg;
    request_ok(look->rq, host_status(look->host));
    free(look);
}

static void verb_status(void *arg, struct request *rq, const json_t *args)
{
    struct host *h = arg;
    if (!json_is_true(json_object_get(args, "look")) || h->state != ST_RUNNING ||
        !agent_is_ready(h->agent)) {
        request_ok(rq, host_status(h));
        return;
    }
    struct look *look = xcalloc(1, sizeof *look);
    *look = (struct look){h, rq};
    agent_look(h->agent, on_looked, look);
}

// The answer comes when it is true: when the engine has ended and the lock is free.
static void wait_for_end(struct host *h, struct request *rq)
{
    struct err e;
    if (h->waiting_count < (int)(sizeof h->waiting / sizeof *h->waiting)) {
        h->waiting[h->waiting_count++] = rq;
        return;
    }
    err_set(&e, ERR_BUSY, "too many clients wait for the end of this VM");
    request_error(rq, &e);
}

static void verb_stop(void *arg, struct request *rq, const json_t *args)
{
    struct host *h = arg;
    struct err e;
    bool sync = !json_is_false(json_object_get(args, "sync"));
    if (h->fork) {
        err_set(&e, ERR_BUSY, "a fork is not saved; 'halt' ends it");
        request_error(rq, &e);
        return;
    }
    if (h->state == ST_SAVING || h->state == ST_STOPPING) {
        wait_for_end(h, rq);
        return;
    }
    if (save_start(h, &(struct save_order){.sync = sync}, &e) < 0)
        request_error(rq, &e);
    else if (json_is_false(json_object_get(args, "wait")))
        request_ok(rq, NULL);
    else
        wait_for_end(h, rq);
}

// The directory of a VM that a client is about to make comes along.
static void verb_keep(void *arg, struct request *rq, const json_t *args)
{
    struct host *h = arg;
    struct err e;
    const char *id = json_string_value(json_object_get(args, "id"));
    AUTO_CLOSE int fd = request_take_fd(rq);
    const struct save_order order = {
        .sync = json_is_true(json_object_get(args, "sync")), .keep = rq, .id = id, .vm_fd = fd};
    if (!h->fork)
        err_set(&e, ERR_USAGE, "it is no fork: 'stop' saves it");
    else if (!id || fd < 0)
        err_set(&e, ERR_USAGE, "keep needs an id and a directory");
    else if (fork_check_keep(h->fork, &e) == 0 && save_start(h, &order, &e) == 0) {
        fd = -1;
        return;
    }
    request_error(rq, &e);
}

static void verb_halt(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    struct host *h = arg;
    host_halt(h, NULL); // however many wait already
    wait_for_end(h, rq);
}

// An engine's `done` that answers a request.
static void answer(void *arg, const struct err *why)
{
    if (why)
        request_error(arg, why);
    else
        request_ok(arg, NULL);
}

// Lets the engine do it; its event, not its answer, changes the state.
static void let_engine(struct host *h, enum input order, struct request *rq,
                       void (*act)(struct engine *en, engine_done *done, void *arg))
{
    struct err e;
    enum state to;
    if (state_next(h->state, order, &to)) {
        act(h->engine, answer, rq);
        return;
    }
    state_refuse(h->state, order, &e);
    request_error(rq, &e);
}

static void verb_pause(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    struct host *h = arg;
    let_engine(h, IN_PAUSE, rq, h->ops ? h->ops->pause : NULL);
}

static void verb_resume(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    struct host *h = arg;
    if (h->fork && fork_is_held(h->fork))
        fork_release(h, 0, rq);
    else
        let_engine(h, IN_RESUME, rq, h->ops ? h->ops->resume : NULL);
}

static void verb_release(void *arg, struct request *rq, const json_t *args)
{
    struct host *h = arg;
    struct err e;
    if (h->fork && fork_is_held(h->fork)) {
        fork_release(h, (uint64_t)json_integer_value(json_object_get(args, "at")), rq);
        return;
    }
    err_set(&e, ERR_BUSY, "it is not held");
    request_error(rq, &e);
}

static void answer_attach(void *arg, json_t *nic)
{
    request_ok(arg, nic);
}

static void attach(struct host *h, struct request *rq, const char *server)
{
    struct err e;
    if (host_order(h, IN_ATTACH, &e) < 0) {
        request_error(rq, &e);
    } else if (!h->nic) {
        err_set(&e, ERR_FAILED, "this run has no socket NIC (it was started with --nat-nic)");
        request_error(rq, &e);
    } else {
        nic_attach(h->nic, server, answer_attach, rq);
    }
}

static void verb_attach(void *arg, struct request *rq, const json_t *args)
{
    struct host *h = arg;
    struct err e;
    const json_t *network = json_object_get(args, "network");
    const char *server = network ? json_string_value(network) : h->vm.config.server_socket;
    if (!server) // another place than the one that was meant would be worse than none
        err_set(&e, ERR_USAGE, "\"network\" is not a string");
    if (!server || socket_path_check(server, &e) < 0)
        request_error(rq, &e);
    else
        attach(h, rq, server);
}

static void verb_detach(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    attach(arg, rq, NULL);
}

// Answers where there is nobody in the guest to ask.
static bool agent_answers(const struct host *h, struct request *rq)
{
    struct err e;
    if (host_ready(h))
        return true;
    if (h->state == ST_RUNNING)
        err_set(&e, ERR_FAILED, "the guest's agent does not answer yet");
    else
        err_set(&e, ERR_BUSY, "the VM is %s", state_name(h->state));
    request_error(rq, &e);
    return false;
}

static void verb_exec(void *arg, struct request *rq, const json_t *args)
{
    struct host *h = arg;
    if (agent_answers(h, rq))
        exec_start(&h->execs, rq, args);
}

static void verb_guest(void *arg, struct request *rq, const json_t *args)
{
    struct host *h = arg;
    if (agent_answers(h, rq))
        guest_set(h, rq, args);
}

static void verb_signal(void *arg, struct request *rq, const json_t *args)
{
    struct host *h = arg;
    exec_signal(&h->execs, rq, args);
}

static void verb_resize(void *arg, struct request *rq, const json_t *args)
{
    struct host *h = arg;
    exec_resize(&h->execs, rq, args);
}

const struct verb host_verbs[] = {
    {"status", verb_status},   {"stop", verb_stop},
    {"keep", verb_keep},       {"halt", verb_halt},
    {"pause", verb_pause},     {"resume", verb_resume},
    {"release", verb_release}, {"attach", verb_attach},
    {"detach", verb_detach},   {"exec", verb_exec},
    {"guest", verb_guest},     {"signal", verb_signal},
    {"resize", verb_resize},   {0},
};
