// The control socket's client against a server that says exactly what the test tells it to.
#include "proto/client.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/unix.h"
#include "tempdir.h"

// What the server says: first when somebody connects, then after each line it read; then it waits
// for the client's end, or goes away itself after one more line. Without a word it goes away at
// once.
struct world {
    struct tempdir *dir;
    char path[80];
    const char *const *says;
    bool goes_away;
    char heard[1024];
    int listener;
    pthread_t thread;
};

static int make_world(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    if (tempdir_make((void **)&w->dir) < 0)
        return -1;
    snprintf(w->path, sizeof w->path, "%s/ctl", w->dir->path);
    *state = w;
    return 0;
}

static int free_world(void **state)
{
    struct world *w = *state;
    int result = tempdir_remove((void **)&w->dir);
    free(w);
    return result;
}

static void read_line(struct world *w, int fd)
{
    size_t n = strlen(w->heard);
    while (n < sizeof w->heard - 1 && read(fd, w->heard + n, 1) == 1 && w->heard[n++] != '\n')
        ;
}

static void *serve(void *arg)
{
    struct world *w = arg;
    char byte;
    int fd = accept(w->listener, NULL, NULL);
    for (int i = 0; w->says[i]; i++) {
        if (i > 0)
            read_line(w, fd);
        if (send(fd, w->says[i], strlen(w->says[i]), MSG_NOSIGNAL) < 0)
            break;
    }
    if (w->goes_away && w->says[0])
        read_line(w, fd);
    else if (!w->goes_away)
        while (read(fd, &byte, 1) > 0)
            ;
    close(fd);
    return NULL;
}

static void start(struct world *w, const char *const *says, bool goes_away)
{
    struct err e;
    w->says = says;
    w->goes_away = goes_away;
    w->listener = unix_listen(w->path, &e);
    assert_true(w->listener >= 0);
    fcntl(w->listener, F_SETFL, 0);
    assert_int_equal(pthread_create(&w->thread, NULL, serve, w), 0);
}

static struct client_conn *join(struct world *w, const char *const *says, bool goes_away)
{
    struct err e;
    bool absent = true;
    start(w, says, goes_away);
    struct client_conn *c = client_open(w->path, &absent, &e);
    assert_non_null(c);
    assert_false(absent);
    return c;
}

static void leave(struct world *w, struct client_conn *c)
{
    client_close(c);
    pthread_join(w->thread, NULL);
    close(w->listener);
}

#define SAYS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define HELLO "{\"hello\":\"test\",\"version\":1}\n"

static void assert_ok(struct client_conn *c, const char *verb, int want)
{
    struct err e;
    json_t *ok = client_call(c, verb, NULL, -1, NULL, &e);
    assert_non_null(ok);
    assert_int_equal(json_integer_value(json_object_get(ok, "n")), want);
    json_decref(ok);
}

static void requests_are_numbered_and_answered(void **state)
{
    struct world *w = *state;
    struct err e;
    struct client_conn *c =
        join(w,
             SAYS(HELLO, "{\"id\":1,\"ok\":{\"n\":7}}\n",
                  "{\"id\":2,\"error\":{\"code\":\"busy\",\"message\":\"it is saving\"}}\n"),
             false);
    assert_int_equal(json_integer_value(json_object_get(client_hello(c), "version")), 1);
    assert_ok(c, "status", 7);
    assert_null(client_call(c, "stop", json_pack("{s:b}", "sync", 0), -1, NULL, &e));
    assert_int_equal(e.code, ERR_BUSY);
    assert_string_equal(e.msg, "it is saving");
    leave(w, c);
    assert_string_equal(w->heard, "{\"id\":1,\"verb\":\"status\",\"args\":{}}\n"
                                  "{\"id\":2,\"verb\":\"stop\",\"args\":{\"sync\":false}}\n");
}

static void assert_event(struct client_conn *c, const char *name)
{
    struct err e;
    json_t *event = client_event(c, -1, NULL, &e);
    assert_string_equal(json_string_value(json_object_get(event, "event")), name);
    json_decref(event);
}

static void events_wait_their_turn(void **state)
{
    struct world *w = *state;
    struct client_conn *c =
        join(w,
             SAYS(HELLO, "{\"event\":\"a\"}\n{\"event\":\"b\"}\n{\"id\":1,\"ok\":{\"n\":1}}\n"
                         "{\"id\":8,\"ok\":{}}\n{\"event\":\"c\"}\n"),
             false);
    assert_ok(c, "events", 1);
    assert_event(c, "a");
    assert_event(c, "b");
    assert_event(c, "c");
    leave(w, c);
}

static void answers_to_others_are_not_taken(void **state)
{
    struct world *w = *state;
    struct client_conn *c =
        join(w,
             SAYS(HELLO,
                  "{\"id\":2,\"ok\":{\"n\":2}}\n{\"id\":null,\"ok\":{}}\n{\"id\":\"1\",\"ok\":{}}\n"
                  "{}\n{\"id\":1,\"ok\":{\"n\":1}}\n"),
             false);
    assert_ok(c, "status", 1);
    leave(w, c);
}

static void a_late_answer_is_not_the_next_ones(void **state)
{
    struct world *w = *state;
    struct err e;
    bool gone = false;
    struct client_conn *c = join(
        w, SAYS(HELLO, "", "{\"id\":1,\"ok\":{\"n\":1}}\n{\"id\":2,\"ok\":{\"n\":2}}\n"), false);
    assert_null(client_call(c, "wait", NULL, 10, &gone, &e));
    assert_int_equal(e.code, ERR_TIMEOUT);
    assert_false(gone);
    assert_ok(c, "status", 2);
    assert_null(client_event(c, 0, &gone, &e));
    assert_int_equal(e.code, ERR_TIMEOUT);
    assert_false(gone);
    leave(w, c);
}

static void what_is_neither_ok_nor_error_is_an_error(void **state)
{
    struct world *w = *state;
    static const char *const answers[] = {
        "{\"id\":1}\n",
        "{\"id\":1,\"error\":\"no\"}\n",
        "{\"id\":1,\"error\":{\"code\":7,\"message\":\"no\"}}\n",
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct err e;
        struct client_conn *c = join(w, SAYS(HELLO, answers[i]), false);
        assert_null(client_call(c, "status", NULL, -1, NULL, &e));
        assert_int_equal(e.code, ERR_FAILED);
        leave(w, c);
    }
}

static void nonsense_is_an_error(void **state)
{
    struct world *w = *state;
    struct err e;
    struct client_conn *c = join(w, SAYS(HELLO, "nonsense\n"), false);
    assert_null(client_call(c, "status", NULL, -1, NULL, &e));
    assert_non_null(strstr(e.msg, "nonsense"));
    leave(w, c);
}

static void a_server_that_goes_is_told_apart(void **state)
{
    struct world *w = *state;
    struct err e;
    bool gone = false;
    struct client_conn *c = join(w, SAYS(HELLO), true);
    assert_null(client_call(c, "stop", NULL, -1, &gone, &e));
    assert_int_equal(e.code, ERR_FAILED);
    assert_true(gone);
    gone = false;
    assert_null(client_call(c, "stop", NULL, -1, &gone, &e)); // sending fails now
    assert_true(gone);
    gone = false;
    assert_null(client_event(c, -1, &gone, &e));
    assert_true(gone);
    leave(w, c);
}

static void nobody_there_is_told_apart(void **state)
{
    struct world *w = *state;
    struct err e;
    bool absent = false;
    assert_null(client_open(w->path, &absent, &e));
    assert_true(absent);
    close(unix_listen(w->path, &e)); // its name stays
    absent = false;
    assert_null(client_open(w->path, &absent, &e));
    assert_true(absent);
    assert_int_equal(unlink(w->path), 0);
    assert_int_equal(file_write_atomic(w->dir->fd, "ctl", "", 0, false, &e), 0);
    assert_null(client_open(w->path, NULL, &e));
}

// A Host on its way out accepts and closes without a word.
static void a_server_without_greeting_is_absent(void **state)
{
    struct world *w = *state;
    struct err e;
    bool absent = false;
    start(w, SAYS(NULL), true);
    assert_null(client_open(w->path, &absent, &e));
    assert_true(absent);
    leave(w, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_numbered_and_answered),       TEST(events_wait_their_turn),
        TEST(answers_to_others_are_not_taken),          TEST(a_late_answer_is_not_the_next_ones),
        TEST(what_is_neither_ok_nor_error_is_an_error), TEST(nonsense_is_an_error),
        TEST(a_server_that_goes_is_told_apart),         TEST(nobody_there_is_told_apart),
        TEST(a_server_without_greeting_is_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
