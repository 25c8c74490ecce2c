// Streams with both of their ends in one process: Host's, and the guest agent's session, which
// starts real commands; then with an agent that breaks the rules.
#include "host/stream.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/session.h"
#include "base/mem.h"
#include "loop.h"
#include "proto/unix.h"

enum { MANY = 200 };

struct world {
    struct event_base *base;
    struct agent *agent;
    int fd; // the guest's end
    int ready;
    struct session *session;
};

// What came of one command.
struct run {
    struct stream *stream;
    bool holds; // takes nothing of the output
    const char *input;
    size_t input_size, input_at;
    bool input_told;
    char text[STREAM_PARTS][256]; // the beginning
    uint64_t got[STREAM_PARTS];
    int ends, code, signal;
    char job[64], message[512], why[sizeof((struct err *)0)->msg];
    int why_code;
};

static void on_ready(void *arg)
{
    struct world *w = arg;
    w->ready++;
}

static void on_changed(void *arg)
{
    (void)arg;
}

static int make_world(void **state)
{
    int ends[2];
    struct err e;
    struct world *w = xcalloc(1, sizeof *w);
    const struct agent_hooks hooks = {.ready = on_ready, .changed = on_changed, .arg = w};
    if (unix_pair(ends, &e) < 0)
        return -1;
    w->base = event_base_new();
    w->agent = agent_new(w->base, ends[0], &hooks);
    w->fd = ends[1];
    w->session = xcalloc(1, sizeof *w->session);
    session_init(w->session);
    *state = w;
    return 0;
}

static int free_world(void **state)
{
    struct world *w = *state;
    session_reset(w->session);
    commands_free(&w->session->commands);
    free(w->session);
    agent_free(w->agent);
    event_base_free(w->base);
    close(w->fd);
    free(w);
    return 0;
}

// --- the guest's end, as agent.c moves its bytes ---

static void guest_reads(struct world *w)
{
    while (!session_is_full(w->session)) {
        size_t room;
        void *to = wire_space(&w->session->in, &room);
        ssize_t n = recv(w->fd, to, room, MSG_DONTWAIT);
        if (n <= 0)
            return;
        wire_added(&w->session->in, (size_t)n);
        session_work(w->session);
    }
}

static void guest_writes(struct world *w)
{
    for (;;) {
        session_fill(w->session);
        if (!w->session->out_len)
            return;
        ssize_t n = send(w->fd, w->session->out, w->session->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0)
            return;
        session_sent(w->session, (size_t)n);
    }
}

static bool guest(struct world *w)
{
    static struct pollfd p[COMMANDS_POLL_MAX];
    guest_reads(w);
    unsigned n = commands_poll(&w->session->commands, p);
    if (n > 0 && poll(p, n, 0) > 0)
        commands_ready(&w->session->commands, p, n);
    commands_reap(&w->session->commands);
    guest_writes(w);
    session_work(w->session);
    event_base_loop(w->base, EVLOOP_NONBLOCK);
    return true;
}

#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        const int64_t limit_ = clock_ms() + LOOP_LIMIT_MS;                                         \
        bool holds_ = false;                                                                       \
        while (guest(w) && !(holds_ = (condition)) && clock_ms() < limit_)                         \
            continue;                                                                              \
        if (!holds_)                                                                               \
            fail_msg("never came: %s", #condition);                                                \
    } while (0)

static void open_session(struct world *w)
{
    int before = w->ready;
    agent_open(w->agent);
    UNTIL(w, w->ready > before);
}

// --- commands ---

static void on_output(void *arg, enum stream_part part, const void *data, size_t n)
{
    struct run *r = arg;
    size_t most = sizeof r->text[part] - 1;
    size_t have = r->got[part] < most ? (size_t)r->got[part] : most;
    size_t room = most - have;
    memcpy(r->text[part] + have, data, n < room ? n : room);
    r->got[part] += n;
    if (!r->holds)
        stream_grant(r->stream, part, 0);
}

static void on_writable(void *arg)
{
    struct run *r = arg;
    size_t left = r->input_size - r->input_at;
    size_t room = stream_room(r->stream);
    size_t n = left < room ? left : room;
    if (n > 0)
        stream_input(r->stream, r->input + r->input_at, n);
    r->input_at += n;
    if (r->input_at == r->input_size && !r->input_told) {
        r->input_told = true;
        stream_input_end(r->stream);
    }
}

static void on_ended(void *arg, const struct stream_end *how, const struct err *why)
{
    struct run *r = arg;
    r->stream = NULL;
    r->ends++;
    r->code = how ? how->code : -1;
    r->signal = how ? how->signal : -1;
    r->why_code = why ? (int)why->code : 0;
    snprintf(r->job, sizeof r->job, "%s", how && how->job ? how->job : "");
    snprintf(r->message, sizeof r->message, "%s", how && how->message ? how->message : "");
    snprintf(r->why, sizeof r->why, "%s", why ? why->msg : "");
}

static struct stream_hooks hooks_of(struct run *r)
{
    return (struct stream_hooks){on_output, on_writable, on_ended, r};
}

static void start(struct world *w, struct run *r, const char *script, bool detach)
{
    struct err e;
    char words[512];
    struct stream_hooks hooks = hooks_of(r);
    int n = snprintf(words, sizeof words, "a/bin/sh%ca-c%ca%s", 0, 0, script);
    struct stream_order order = {.words = words, .length = (size_t)n + 1, .detach = detach};
    r->stream = stream_exec(w->agent, &order, &hooks, &e);
    if (!r->stream)
        fail_msg("%s", e.msg);
}

static void codes_and_outputs_are_the_commands(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *script;
        int code, signal;
    } cases[] = {{"exit 0", 0, 0},
                 {"exit 42", 42, 0},
                 {"kill -9 $$", 137, 9},
                 {"echo out; echo err >&2; exit 3", 3, 0}};
    struct run r[4] = {0};
    open_session(w);
    for (int i = 0; i < 4; i++)
        start(w, &r[i], cases[i].script, false);
    for (int i = 0; i < 4; i++) {
        UNTIL(w, r[i].ends);
        assert_string_equal(r[i].why, "");
        assert_int_equal(r[i].code, cases[i].code);
        assert_int_equal(r[i].signal, cases[i].signal);
    }
    assert_string_equal(r[3].text[STREAM_OUT], "out\n");
    assert_string_equal(r[3].text[STREAM_ERR], "err\n");
}

static void what_cannot_run_says_why(void **state)
{
    struct world *w = *state;
    struct err e;
    static const struct {
        const char *words;
        size_t length;
        int code;
        const char *text;
    } cases[] = {
        {"a/nonexistent", 14, 127, "cannot run /nonexistent: No such file or directory"},
        {"a/etc/passwd", 13, 126, "cannot run /etc/passwd: Permission denied"},
        {"atrue\0c/nonexistent", 20, 126, "cannot enter /nonexistent: No such file or directory"},
        {"atrue\0unobody at all", 21, -1, "the guest has no user 'nobody at all'"},
        {"c/", 3, -1, "no command was given"},
        {"atrue", 5, -1, "no command was given"},
        {"xtrue", 6, -1, "the request cannot be understood, or has too many words"},
    };
    open_session(w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run r = {0};
        struct stream_hooks hooks = hooks_of(&r);
        struct stream_order order = {.words = cases[i].words, .length = cases[i].length};
        r.stream = stream_exec(w->agent, &order, &hooks, &e);
        UNTIL(w, r.ends);
        assert_int_equal(r.code, cases[i].code);
        assert_string_equal(cases[i].code < 0 ? r.why : r.message, cases[i].text);
    }
}

// Bytes of every value through both directions; and one that nobody reads, among many others.
static void one_that_is_not_read_delays_nobody(void **state)
{
    struct world *w = *state;
    enum { SIZE = 300000 };
    struct run *r = xcalloc(MANY, sizeof *r);
    struct run stuck = {.holds = true};
    char *input = xcalloc(1, SIZE);
    uint32_t random = 1;
    for (size_t i = 0; i < SIZE; i++) {
        random = random * 1664525 + 1013904223;
        input[i] = (char)(random >> 24 & random >> 16);
    }
    open_session(w);
    start(w, &stuck, "cat /dev/zero", false);
    for (int i = 0; i < MANY; i++) {
        r[i].input = input;
        r[i].input_size = i % 50 == 0 ? SIZE : 100;
        start(w, &r[i], "cat; exit 5", false);
    }
    for (int i = 0; i < MANY; i++) {
        UNTIL(w, r[i].ends);
        assert_string_equal(r[i].why, "");
        assert_int_equal(r[i].code, 5);
        assert_int_equal(r[i].got[STREAM_OUT], r[i].input_size);
        assert_memory_equal(r[i].text[STREAM_OUT], input, 100);
    }
    assert_int_equal(stuck.ends, 0);
    assert_true(stuck.got[STREAM_OUT] <= WIRE_WINDOW);
    stream_drop(stuck.stream);
    UNTIL(w, w->session->commands.count == 0);
    free(input);
    free(r);
}

static void wait_for(struct world *w, const struct run *job, struct run *r)
{
    struct err e;
    struct stream_hooks hooks = hooks_of(r);
    r->input_told = true;
    r->stream = stream_wait(w->agent, job->job, &hooks, &e);
    UNTIL(w, r->ends);
}

static bool is_gone(pid_t pid)
{
    return kill(pid, 0) != 0;
}

static void a_session_takes_its_commands_along(void **state)
{
    struct world *w = *state;
    struct run r = {0};
    struct run job = {0};
    struct run waited = {0};
    open_session(w);
    start(w, &r, "echo $$; sleep 1000 & wait", false);
    UNTIL(w, strchr(r.text[STREAM_OUT], '\n'));
    pid_t pid = (pid_t)atoi(r.text[STREAM_OUT]);
    assert_false(is_gone(pid));
    start(w, &job, "sleep 1000", true);
    UNTIL(w, job.ends);
    assert_true(job.job[0]);
    agent_close(w->agent, "cut off");
    assert_int_equal(r.ends, 1);
    assert_string_equal(r.why, "cut off");
    open_session(w);
    UNTIL(w, is_gone(pid));
    assert_int_equal(w->session->commands.count, 1); // the job
    pid = (pid_t)atoi(job.job);
    assert_false(is_gone(pid));
    kill(pid, SIGKILL);
    wait_for(w, &job, &waited);
    assert_int_equal(waited.signal, SIGKILL);
    UNTIL(w, w->session->commands.count == 0);
}

static void jobs_are_waited_for_once(void **state)
{
    struct world *w = *state;
    const struct run no_job = {.job = "1-ffff"};
    struct run job = {0};
    struct run waits[3] = {0};
    open_session(w);
    start(w, &job, "read x; exit 6", true);
    UNTIL(w, job.ends);
    for (int i = 0; i < 3; i++)
        wait_for(w, i == 2 ? &no_job : &job, &waits[i]);
    assert_int_equal(waits[0].code, 6);
    assert_int_equal(waits[1].why_code, ERR_FAILED);
    assert_non_null(strstr(waits[1].why, "there is no job "));
    assert_int_equal(waits[2].why_code, ERR_FAILED);
    assert_int_equal(w->session->commands.count, 0);
}

static void a_signal_and_a_closed_output_reach_the_command(void **state)
{
    struct world *w = *state;
    struct run r[2] = {0};
    open_session(w);
    r[0].input_told = r[1].input_told = true;
    start(w, &r[0], "trap 'exit 9' INT; echo set; while :; do sleep 0.01; done", false);
    UNTIL(w, r[0].got[STREAM_OUT]);
    stream_signal(r[0].stream, "INT");
    start(w, &r[1], "exec cat /dev/zero", false);
    UNTIL(w, r[1].got[STREAM_OUT]);
    stream_shut(r[1].stream, STREAM_OUT);
    UNTIL(w, r[0].ends && r[1].ends);
    assert_int_equal(r[0].code, 9);
    assert_int_equal(r[1].signal, SIGPIPE);
}

// --- an agent that lies: its frames are written by hand ---

static void say_raw(struct world *w, struct wire_writer *writer)
{
    size_t n = wire_end(writer);
    assert_true(n > 0);
    assert_int_equal(send(w->fd, writer->buf, n, MSG_DONTWAIT), (ssize_t)n);
}

static void say(struct world *w, unsigned type, const char *key, const char *value, size_t data)
{
    static unsigned char buf[WIRE_FRAME_MAX];
    static const char zeros[WIRE_DATA_MAX];
    struct wire_writer writer;
    wire_begin(&writer, buf, sizeof buf, type, w->session->nonce);
    wire_put(&writer, "stream", "1");
    wire_put(&writer, key, "%s", value);
    if (data)
        wire_put_data(&writer, zeros, data);
    say_raw(w, &writer);
}

static void lies_end_their_stream(void **state)
{
    struct world *w = *state;
    static const struct {
        unsigned type;
        const char *key, *value;
        size_t data;
        const char *why;
    } cases[] = {
        {WIRE_STDOUT, "at", "7", 5, "output of the command was lost or came twice"},
        {WIRE_STDOUT, "at", "-1", 5, "output of the command was lost or came twice"},
        {WIRE_STDERR, "at", "0", 0, "output of the command was lost or came twice"},
        {WIRE_EXIT, "nothing", "", 0, "the guest's agent does not tell the command's end"},
        {WIRE_EXIT, "code", "99999999999999999999", 0,
         "the guest's agent does not tell the command's end"},
        {WIRE_EXIT, "message", "\x1b[31mno", 0, "?[31mno"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run r = {0};
        open_session(w);
        start(w, &r, "true", false);
        say(w, cases[i].type, cases[i].key, cases[i].value, cases[i].data);
        LOOP_UNTIL(w->base, r.ends);
        assert_string_equal(r.why, cases[i].why);
        say(w, WIRE_EXIT, "code", "0", 0); // of nobody any more
    }
}

static void credit_is_a_limit_both_ways(void **state)
{
    struct world *w = *state;
    struct run r = {.holds = true};
    char at[16];
    open_session(w);
    start(w, &r, "true", false);
    say(w, WIRE_CREDIT, "in", "999999999", 0); // more than there can be
    for (int i = 0; i < WIRE_WINDOW / WIRE_DATA_MAX; i++) {
        snprintf(at, sizeof at, "%d", i * WIRE_DATA_MAX);
        say(w, WIRE_STDOUT, "at", at, WIRE_DATA_MAX);
        LOOP_UNTIL(w->base, r.got[STREAM_OUT] == (uint64_t)(i + 1) * WIRE_DATA_MAX);
    }
    assert_int_equal(stream_room(r.stream), 0);
    say(w, WIRE_STDOUT, "at", "131072", 1);
    LOOP_UNTIL(w->base, r.ends);
    assert_string_equal(r.why, "output of the command was lost or came twice");
}

// A guest reads what Host sends like a stranger's, too.
static void the_guest_survives_nonsense(void **state)
{
    struct world *w = *state;
    struct run r = {0};
    unsigned char buf[256];
    open_session(w);
    for (unsigned type = 0; type < 64; type++)
        for (int shape = 0; shape < 4; shape++) {
            struct wire_writer writer;
            wire_begin(&writer, buf, sizeof buf, type == 0 || type == 10 ? 63 : type,
                       w->session->nonce);
            wire_put(&writer, "stream", "%s", shape ? "1" : "x");
            wire_put(&writer, shape & 1 ? "in" : "at", "%s", shape & 2 ? "99999999999" : "-5");
            wire_put_data(&writer, "\0\0x", 3);
            size_t n = wire_end(&writer);
            if (type == WIRE_HELLO || type == WIRE_EXEC)
                continue;
            wire_feed(&w->session->in, buf, n);
            session_work(w->session);
            session_fill(w->session);
            w->session->out_len = 0;
        }
    start(w, &r, "exit 4", false);
    UNTIL(w, r.ends);
    assert_int_equal(r.code, 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(codes_and_outputs_are_the_commands),
        TEST(what_cannot_run_says_why),
        TEST(one_that_is_not_read_delays_nobody),
        TEST(a_session_takes_its_commands_along),
        TEST(jobs_are_waited_for_once),
        TEST(a_signal_and_a_closed_output_reach_the_command),
        TEST(lies_end_their_stream),
        TEST(credit_is_a_limit_both_ways),
        TEST(the_guest_survives_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
