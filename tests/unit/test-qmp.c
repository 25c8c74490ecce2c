// The QMP client against a QEMU that answers, is silent, talks nonsense and dies.
#include "engine/qemu/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "loop.h"
#include "proto/line.h"
#include "proto/unix.h"

struct world {
    struct event_base *base;
    struct qmp *qmp;
    int fd; // QEMU's end
    struct evbuffer *in;
    int fd_received;
    int ready;
    int lost;
    char version[16];
    char events[200]; // "NAME:data " for each
};

struct answer {
    int count;
    bool failed;
    char text[1024]; // result or error
};

static void on_ready(void *arg, const json_t *greeting)
{
    struct world *w = arg;
    w->ready++;
    snprintf(w->version, sizeof w->version, "%s",
             json_string_value(json_object_get(greeting, "version")));
}

static void on_event(void *arg, const char *name, const json_t *data)
{
    struct world *w = arg;
    AUTO_FREE char *text = json_dumps(data, JSON_COMPACT);
    size_t n = strlen(w->events);
    snprintf(w->events + n, sizeof w->events - n, "%s:%s ", name, text ? text : "");
}

static void on_reply(void *arg, const json_t *result, const struct err *why)
{
    struct answer *a = arg;
    a->count++;
    a->failed = !result;
    assert_true(!result == (why != NULL));
    AUTO_FREE char *text = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);
    snprintf(a->text, sizeof a->text, "%s", text ? text : why->msg);
}

static void on_lost(void *arg)
{
    struct world *w = arg;
    w->lost++;
}

static int make_world(void **state)
{
    int ends[2];
    struct err e;
    struct world *w = xcalloc(1, sizeof *w);
    struct qmp_handlers handlers = {
        .ready = on_ready, .event = on_event, .lost = on_lost, .arg = w};
    if (unix_pair(ends, &e) < 0)
        return -1;
    w->base = event_base_new();
    w->qmp = qmp_new(w->base, ends[0], &handlers);
    w->fd = ends[1];
    w->fd_received = -1;
    w->in = evbuffer_new();
    *state = w;
    return 0;
}

static int free_world(void **state)
{
    struct world *w = *state;
    qmp_free(w->qmp);
    event_base_free(w->base);
    if (w->fd >= 0)
        close(w->fd);
    if (w->fd_received >= 0)
        close(w->fd_received);
    evbuffer_free(w->in);
    free(w);
    return 0;
}

static void say(struct world *w, const char *text)
{
    assert_int_equal(write(w->fd, text, strlen(text)), strlen(text));
}

// Takes what the client sent, with the descriptor that came along.
static bool received(struct world *w, json_t **line)
{
    char bytes[4096];
    char control[CMSG_SPACE(sizeof(int))];
    struct err e;
    struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(w->fd, &msg, MSG_DONTWAIT);
    if (n > 0)
        evbuffer_add(w->in, bytes, (size_t)n);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    if (c && c->cmsg_type == SCM_RIGHTS)
        memcpy(&w->fd_received, CMSG_DATA(c), sizeof w->fd_received);
    return line_take(w->in, line, &e) == LINE_OK;
}

static void assert_asked(struct world *w, const char *want)
{
    json_t *line = NULL;
    LOOP_UNTIL(w->base, received(w, &line));
    json_t *expected = json_loads(want, 0, NULL);
    AUTO_FREE char *text = json_dumps(line, JSON_COMPACT);
    if (!json_equal(line, expected))
        fail_msg("asked: %s", text);
    json_decref(expected);
    json_decref(line);
}

static void begin(struct world *w)
{
    say(w, "{\"QMP\":{\"version\":\"7.2\",\"capabilities\":[]}}\r\n");
    assert_asked(w, "{\"execute\":\"qmp_capabilities\",\"id\":1}");
    assert_int_equal(w->ready, 0); // not before QEMU agrees
    say(w, "{\"return\":{},\"id\":1}\r\n");
    LOOP_UNTIL(w->base, w->ready);
}

static void assert_answer(struct world *w, const struct answer *a, bool failed, const char *want)
{
    LOOP_UNTIL(w->base, a->count);
    assert_int_equal(a->count, 1);
    assert_true(a->failed == failed);
    if (!strstr(a->text, want))
        fail_msg("'%s' does not say '%s'", a->text, want);
}

static void it_is_ready_after_the_greeting(void **state)
{
    struct world *w = *state;
    begin(w);
    assert_string_equal(w->version, "7.2");
    say(w, "{\"QMP\":{\"version\":\"8\"}}\n{\"event\":\"STOP\"}\n"); // once is enough
    LOOP_UNTIL(w->base, w->events[0]);
    assert_int_equal(w->ready, 1);
}

static void refused_capabilities_make_nothing_ready(void **state)
{
    struct world *w = *state;
    say(w, "{\"QMP\":{}}\n");
    assert_asked(w, "{\"execute\":\"qmp_capabilities\",\"id\":1}");
    say(w, "{\"error\":{\"class\":\"GenericError\",\"desc\":\"no\"},\"id\":1}\n"
           "{\"event\":\"STOP\"}\n");
    LOOP_UNTIL(w->base, w->events[0]);
    assert_int_equal(w->ready, 0);
}

static void answers_find_their_commands(void **state)
{
    struct world *w = *state;
    struct answer a[3] = {0};
    begin(w);
    qmp_call(w->qmp, "stop", NULL, -1, on_reply, &a[0]);
    qmp_call(w->qmp, "migrate", json_pack("{s:s}", "uri", "fd:x"), -1, on_reply, &a[1]);
    qmp_call(w->qmp, "cont", NULL, -1, NULL, NULL);
    qmp_call(w->qmp, "query", NULL, -1, on_reply, &a[2]);
    assert_asked(w, "{\"execute\":\"stop\",\"id\":2}");
    assert_asked(w, "{\"execute\":\"migrate\",\"id\":3,\"arguments\":{\"uri\":\"fd:x\"}}");
    assert_asked(w, "{\"execute\":\"cont\",\"id\":4}");
    assert_asked(w, "{\"execute\":\"query\",\"id\":5}");
    say(w, "{\"return\":{},\"id\":4}\n{\"return\":[1],\"id\":5}\n{\"return\":7,\"id\":99}\n"
           "{\"return\":8}\n{\"id\":3,\"error\":{\"class\":\"X\",\"desc\":\"no such fd\"}}\n"
           "{\"return\":9,\"id\":3}\n{\"id\":2,\"return\":{}}\n");
    assert_answer(w, &a[0], false, "{}");
    assert_answer(w, &a[1], true, "migrate: no such fd");
    assert_answer(w, &a[2], false, "[1]");
}

static void odd_errors_are_errors(void **state)
{
    struct world *w = *state;
    struct answer a[3] = {0};
    begin(w);
    for (int i = 0; i < 3; i++)
        qmp_call(w->qmp, "stop", NULL, -1, on_reply, &a[i]);
    say(w, "{\"id\":2}\n{\"id\":3,\"error\":\"no\"}\n{\"id\":4,\"error\":{\"desc\":7}}\n");
    for (int i = 0; i < 3; i++)
        assert_answer(w, &a[i], true, "stop: unknown error");
}

static void events_are_passed_on(void **state)
{
    struct world *w = *state;
    begin(w);
    say(w, "{\"event\":\"STOP\",\"timestamp\":{}}\n{\"event\":\"RESET\",\"da");
    say(w, "ta\":{\"guest\":true}}\n");
    LOOP_UNTIL(w->base, strstr(w->events, "RESET"));
    assert_string_equal(w->events, "STOP: RESET:{\"guest\":true} ");
}

static void a_descriptor_travels_along(void **state)
{
    struct world *w = *state;
    int ends[2];
    char byte = 0;
    begin(w);
    assert_int_equal(pipe(ends), 0);
    qmp_call(w->qmp, "getfd", json_pack("{s:s}", "fdname", "x"), ends[1], NULL, NULL);
    assert_asked(w, "{\"execute\":\"getfd\",\"id\":2,\"arguments\":{\"fdname\":\"x\"}}");
    assert_true(w->fd_received >= 0);
    assert_int_equal(write(w->fd_received, "y", 1), 1);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_true(fcntl(ends[1], F_GETFD) >= 0); // and stays ours
    close(ends[0]);
    close(ends[1]);
}

static void its_end_answers_everything(void **state)
{
    struct world *w = *state;
    struct answer a[2] = {0};
    struct answer late = {0};
    begin(w);
    qmp_call(w->qmp, "stop", NULL, -1, on_reply, &a[0]);
    qmp_call(w->qmp, "cont", NULL, -1, on_reply, &a[1]);
    close(w->fd);
    w->fd = -1;
    assert_answer(w, &a[0], true, "QEMU ended before it answered 'stop'");
    assert_answer(w, &a[1], true, "answered 'cont'");
    qmp_call(w->qmp, "quit", NULL, -1, on_reply, &late);
    qmp_fail(w->qmp); // when its process is gone
    assert_answer(w, &late, true, "answered 'quit'");
    assert_int_equal(w->lost, 1);
    assert_int_equal(a[0].count + a[1].count, 2);
}

static void nonsense_ends_it(void **state)
{
    static const char *const bad[] = {"nonsense\n", "[]\n", "\n", "{\"id\":\"\xff\"}\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct world *w = *state;
        struct answer a = {0};
        struct answer late = {0};
        begin(w);
        qmp_call(w->qmp, "stop", NULL, -1, on_reply, &a);
        say(w, bad[i]);
        say(w, "{\"return\":{},\"id\":2}\n{\"event\":\"STOP\"}\n");
        assert_answer(w, &a, true, "stop");
        LOOP_UNTIL(w->base, w->lost);
        qmp_call(w->qmp, "cont", NULL, -1, on_reply, &late);
        qmp_fail(w->qmp);
        assert_answer(w, &late, true, "cont");
        assert_int_equal(w->lost, 1);
        say(w, "{\"event\":\"RESUME\"}\n");
        event_base_loop(w->base, EVLOOP_NONBLOCK);
        assert_string_equal(w->events, ""); // nothing after it is believed
        free_world(state);
        make_world(state);
    }
}

static void freeing_answers_what_is_open(void **state)
{
    struct world *w = *state;
    struct answer a = {0};
    qmp_call(w->qmp, "stop", NULL, -1, on_reply, &a); // even before the greeting
    qmp_free(w->qmp);
    w->qmp = NULL;
    assert_int_equal(a.count, 1);
    assert_true(a.failed);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_ready_after_the_greeting), TEST(refused_capabilities_make_nothing_ready),
        TEST(answers_find_their_commands),    TEST(odd_errors_are_errors),
        TEST(events_are_passed_on),           TEST(a_descriptor_travels_along),
        TEST(its_end_answers_everything),     TEST(nonsense_ends_it),
        TEST(freeing_answers_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
