// Commands in the guest: between a client's two sockets and a stream of the agent. A socket that
// its client does not read holds at most WIRE_WINDOW bytes here; then the guest has to wait.
#include "host/exec.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/parse.h"
#include "host/stream.h"

enum {
    EXECS_MAX = 240, // the agent has four descriptors for each, of 1024
    WORDS_MAX = 64000,
};

struct exec {
    struct execs *all;
    struct request *rq;
    uint64_t client;
    struct stream *stream; // NULL: it ended, and its output is on its way to the client
    struct bufferevent *io[STREAM_PARTS]; // the first is the input's, too; NULL: none, or it failed
    bool input_ended;                     // by the client
    bool input_told;                      // and the guest knows
    json_t *answer;
    LIST_ENTRY(exec) link;
};

static void exec_free(struct exec *x)
{
    LIST_REMOVE(x, link);
    x->all->count--;
    for (int i = 0; i < STREAM_PARTS; i++)
        if (x->io[i])
            bufferevent_free(x->io[i]);
    json_decref(x->answer);
    free(x);
}

static size_t waiting(const struct exec *x, enum stream_part part)
{
    return x->io[part] ? evbuffer_get_length(bufferevent_get_output(x->io[part])) : 0;
}

// What is in the client's sockets stays readable after they are closed here.
static void finish_when_flushed(struct exec *x)
{
    if (x->stream || waiting(x, STREAM_OUT) || waiting(x, STREAM_ERR))
        return;
    request_ok(x->rq, TAKE_PTR(x->answer));
    exec_free(x);
}

// --- from the stream ---

static void on_output(void *arg, enum stream_part part, const void *data, size_t n)
{
    struct exec *x = arg;
    if (x->io[part])
        bufferevent_write(x->io[part], data, n);
    stream_grant(x->stream, part, waiting(x, part));
}

// No more is read while the guest has no room. (A high watermark would do that, too, but libevent
// calls back without end as long as it is reached.)
static void read_more(const struct exec *x, bool more)
{
    if (x->io[STREAM_OUT] && more)
        bufferevent_enable(x->io[STREAM_OUT], EV_READ);
    else if (x->io[STREAM_OUT])
        bufferevent_disable(x->io[STREAM_OUT], EV_READ);
}

static void send_input(struct exec *x)
{
    struct evbuffer *in = x->io[STREAM_OUT] ? bufferevent_get_input(x->io[STREAM_OUT]) : NULL;
    size_t held = in ? evbuffer_get_length(in) : 0;
    size_t room = stream_room(x->stream);
    size_t n = held < room ? held : room;
    if (n > 0) {
        stream_input(x->stream, evbuffer_pullup(in, (ssize_t)n), n);
        evbuffer_drain(in, n);
    }
    read_more(x, n == held && !x->input_ended);
    if (x->input_ended && !x->input_told && n == held) {
        stream_input_end(x->stream);
        x->input_told = true;
    }
}

static void on_writable(void *arg)
{
    send_input(arg);
}

static void on_ended(void *arg, const struct stream_end *how, const struct err *why)
{
    struct exec *x = arg;
    x->stream = NULL;
    if (why) {
        request_error(x->rq, why);
        exec_free(x);
        return;
    }
    x->answer = how->job ? json_pack("{s:s}", "job", how->job)
                         : json_pack("{s:i, s:s*}", "code", how->code, "message", how->message);
    if (how->signal)
        json_object_set_new(x->answer, "signal", json_integer(how->signal));
    for (int i = 0; i < STREAM_PARTS; i++)
        if (x->io[i]) {
            bufferevent_disable(x->io[i], EV_READ);
            bufferevent_setwatermark(x->io[i], EV_WRITE, 0, 0);
        }
    finish_when_flushed(x);
}

// --- from the client's sockets ---

static void on_read(struct bufferevent *io, void *arg)
{
    (void)io;
    struct exec *x = arg;
    if (x->stream)
        send_input(x);
}

static void on_drained(struct bufferevent *io, void *arg)
{
    struct exec *x = arg;
    enum stream_part part = io == x->io[STREAM_OUT] ? STREAM_OUT : STREAM_ERR;
    if (x->stream)
        stream_grant(x->stream, part, waiting(x, part));
    else
        finish_when_flushed(x);
}

// A client that reads no more: the command learns it as from a pipe whose reader went away.
static void output_failed(struct exec *x, enum stream_part part)
{
    bufferevent_free(TAKE_PTR(x->io[part]));
    if (!x->stream) {
        finish_when_flushed(x);
        return;
    }
    stream_shut(x->stream, part);
    if (part == STREAM_OUT && !x->input_told) {
        stream_input_end(x->stream);
        x->input_told = true;
    }
}

static void on_event(struct bufferevent *io, short what, void *arg)
{
    struct exec *x = arg;
    enum stream_part part = io == x->io[STREAM_OUT] ? STREAM_OUT : STREAM_ERR;
    if (!(what & BEV_EVENT_EOF) || what & BEV_EVENT_WRITING) {
        output_failed(x, part);
    } else if (part == STREAM_OUT && x->stream) {
        x->input_ended = true;
        send_input(x);
    }
}

// --- the verbs ---

static struct stream_hooks hooks_of(struct exec *x)
{
    return (struct stream_hooks){
        .output = on_output, .writable = on_writable, .ended = on_ended, .arg = x};
}

static struct bufferevent *take_socket(struct execs *all, struct request *rq)
{
    int type = 0;
    socklen_t n = sizeof type;
    int fd = request_take_fd(rq);
    if (fd < 0)
        return NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_STREAM ||
        evutil_make_socket_nonblocking(fd) < 0) {
        close(fd);
        return NULL;
    }
    return bufferevent_socket_new(agent_base(all->agent), fd, BEV_OPT_CLOSE_ON_FREE);
}

static void open_sockets(struct exec *x)
{
    for (int i = 0; i < STREAM_PARTS; i++) {
        x->io[i] = take_socket(x->all, x->rq);
        if (!x->io[i])
            continue;
        bufferevent_setcb(x->io[i], on_read, on_drained, on_event, x);
        bufferevent_set_max_single_read(x->io[i], WIRE_DATA_MAX);
        bufferevent_setwatermark(x->io[i], EV_WRITE, WIRE_WINDOW / 2, 0);
        bufferevent_enable(x->io[i], EV_WRITE | (i == STREAM_OUT ? EV_READ : 0));
    }
    x->input_ended = !x->io[STREAM_OUT];
}

static struct exec *exec_new(struct execs *all, struct request *rq)
{
    struct exec *x = xcalloc(1, sizeof *x);
    *x = (struct exec){.all = all, .rq = rq, .client = request_client(rq)};
    LIST_INSERT_HEAD(&all->list, x, link);
    all->count++;
    open_sockets(x);
    return x;
}

static int add_word(struct evbuffer *words, char letter, const json_t *text, const char *what,
                    struct err *e)
{
    const char *s = json_string_value(text);
    if (!s)
        return err_set(e, ERR_USAGE, "\"%s\" is no text", what);
    evbuffer_add(words, &letter, 1);
    evbuffer_add(words, s, strlen(s) + 1);
    return 0;
}

static int add_words(struct evbuffer *words, char letter, const json_t *args, const char *what,
                     struct err *e)
{
    const json_t *list = json_object_get(args, what);
    size_t i;
    json_t *text;
    if (list && !json_is_array(list))
        return err_set(e, ERR_USAGE, "\"%s\" is no list", what);
    json_array_foreach(list, i, text) {
        if (add_word(words, letter, text, what, e) < 0)
            return -1;
    }
    return 0;
}

static int add_option(struct evbuffer *words, char letter, const json_t *args, const char *what,
                      struct err *e)
{
    const json_t *text = json_object_get(args, what);
    return !text || json_is_null(text) ? 0 : add_word(words, letter, text, what, e);
}

static int make_words(struct evbuffer *words, const json_t *args, struct err *e)
{
    if (add_words(words, 'a', args, "argv", e) < 0 || add_words(words, 'e', args, "env", e) < 0 ||
        add_option(words, 'c', args, "cwd", e) < 0 || add_option(words, 'u', args, "user", e) < 0)
        return -1;
    if (json_array_size(json_object_get(args, "argv")) == 0)
        return err_set(e, ERR_USAGE, "\"argv\" is missing");
    if (evbuffer_get_length(words) > WORDS_MAX)
        return err_set(e, ERR_USAGE,
                       "the command with its environment is too long: at most 64,000 bytes");
    return 0;
}

static int size_of(const json_t *args, const char *what)
{
    json_int_t n = json_integer_value(json_object_get(args, what));
    return n > 0 && n < 65536 ? (int)n : 0;
}

static int start_command(struct exec *x, const json_t *args, struct err *e)
{
    struct evbuffer *words = evbuffer_new();
    struct stream_hooks hooks = hooks_of(x);
    if (make_words(words, args, e) == 0) {
        struct stream_order order = {.words = evbuffer_pullup(words, -1),
                                     .length = evbuffer_get_length(words),
                                     .tty = json_is_true(json_object_get(args, "tty")),
                                     .detach = json_is_true(json_object_get(args, "detach")),
                                     .rows = size_of(args, "rows"),
                                     .cols = size_of(args, "cols")};
        x->stream = stream_exec(x->all->agent, &order, &hooks, e);
    }
    evbuffer_free(words);
    return x->stream ? 0 : -1;
}

static int start(struct exec *x, const json_t *args, struct err *e)
{
    const char *job = json_string_value(json_object_get(args, "wait"));
    x->input_told = job || json_is_true(json_object_get(args, "detach")); // it has none
    if (!job)
        return start_command(x, args, e);
    struct stream_hooks hooks = hooks_of(x);
    x->stream = stream_wait(x->all->agent, job, &hooks, e);
    return x->stream ? 0 : -1;
}

static struct exec *exec_of(const struct execs *all, uint64_t client)
{
    struct exec *x;
    LIST_FOREACH(x, &all->list, link)
        if (x->client == client)
            return x;
    return NULL;
}

static void refuse(struct request *rq, enum err_code code, const char *why)
{
    struct err e;
    err_set(&e, code, "%s", why);
    request_error(rq, &e);
}

void exec_start(struct execs *all, struct request *rq, const json_t *args)
{
    struct err e;
    if (exec_of(all, request_client(rq))) {
        refuse(rq, ERR_BUSY, "this connection runs a command already");
        return;
    }
    if (all->count == EXECS_MAX) {
        refuse(rq, ERR_BUSY, "240 commands run in this guest already");
        return;
    }
    struct exec *x = exec_new(all, rq);
    if (start(x, args, &e) == 0)
        return;
    request_error(rq, &e);
    exec_free(x);
}

// The running command of the client that asks; NULL after it was answered.
static struct exec *asked(const struct execs *all, struct request *rq)
{
    struct exec *x = exec_of(all, request_client(rq));
    if (x && x->stream)
        return x;
    refuse(rq, ERR_FAILED, "this connection runs no command");
    return NULL;
}

void exec_signal(struct execs *all, struct request *rq, const json_t *args)
{
    const char *name = json_string_value(json_object_get(args, "signal"));
    struct exec *x = asked(all, rq);
    if (!x)
        return;
    if (!name || !choice_valid("INT|TERM|HUP|QUIT|KILL|USR1|USR2|STOP|CONT|TSTP", name)) {
        refuse(rq, ERR_USAGE,
               "\"signal\" is not INT, TERM, HUP, QUIT, KILL, USR1, USR2, STOP, "
               "CONT or TSTP");
        return;
    }
    stream_signal(x->stream, name);
    request_ok(rq, NULL);
}

void exec_resize(struct execs *all, struct request *rq, const json_t *args)
{
    struct exec *x = asked(all, rq);
    if (!x)
        return;
    stream_resize(x->stream, size_of(args, "rows"), size_of(args, "cols"));
    request_ok(rq, NULL);
}

static void kill_one(struct exec *x)
{
    if (x->stream)
        stream_drop(TAKE_PTR(x->stream));
    refuse(x->rq, ERR_FAILED, "the VM ended");
    exec_free(x);
}

void exec_client_ended(struct execs *all, uint64_t client)
{
    struct exec *x = exec_of(all, client);
    if (x)
        kill_one(x);
}

void exec_end_all(struct execs *all)
{
    struct exec *x;
    while ((x = LIST_FIRST(&all->list)))
        kill_one(x);
}
