// The control socket's server, driven by raw sockets in the same loop.
#include "proto/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "loop.h"
#include "proto/fds.h"
#include "proto/line.h"
#include "proto/unix.h"
#include "tempdir.h"

struct world {
    struct tempdir *dir;
    struct event_base *base;
    struct server *server;
    char path[80];
    struct request *kept[2]; // what "later" keeps, in the order of arrival
    int kept_count;
    int taken;             // the descriptor that "take" found last, or -1
    uint64_t asked, ended; // the client of the last "who", and that of the last end
};

struct peer {
    int fd;
    struct evbuffer *in;
    bool ended;
};

static void on_echo(void *arg, struct request *rq, const json_t *args)
{
    (void)arg;
    request_ok(rq, json_pack("{s:O?}", "args", args));
}

static void on_refuse(void *arg, struct request *rq, const json_t *args)
{
    (void)arg;
    (void)args;
    struct err e;
    err_set(&e, ERR_NOT_RUNNING, "it does not run");
    request_error(rq, &e);
}

static void on_later(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    struct world *w = arg;
    w->kept[w->kept_count++] = rq;
}

static void on_take(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    struct world *w = arg;
    w->taken = request_take_fd(rq);
    request_ok(rq, json_pack("{s:b}", "fd", w->taken >= 0));
}

static void on_who(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    struct world *w = arg;
    w->asked = request_client(rq);
    request_ok(rq, NULL);
}

static void on_client_end(void *arg, uint64_t client)
{
    struct world *w = arg;
    w->ended = client;
}

static const struct verb verbs[] = {
    {"echo", on_echo},     {"take", on_take},   {"who", on_who},
    {"refuse", on_refuse}, {"later", on_later}, {0},
};

static int make_world(void **state)
{
    struct err e;
    struct world *w = xcalloc(1, sizeof *w);
    if (tempdir_make((void **)&w->dir) < 0)
        return -1;
    snprintf(w->path, sizeof w->path, "%s/ctl", w->dir->path);
    w->base = event_base_new();
    w->server = server_new(w->base, w->path, json_pack("{s:s}", "hello", "test"), verbs, w, &e);
    *state = w;
    return w->server ? 0 : -1;
}

static int free_world(void **state)
{
    struct world *w = *state;
    server_free(w->server);
    event_base_free(w->base);
    int result = tempdir_remove((void **)&w->dir);
    free(w);
    return result;
}

static void say_bytes(struct world *w, struct peer *p, const char *text, size_t n)
{
    size_t sent = 0;
    while (sent < n) {
        ssize_t now = 0;
        LOOP_UNTIL(w->base,
                   (now = send(p->fd, text + sent, n - sent, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0 ||
                       errno != EAGAIN);
        assert_true(now > 0);
        sent += (size_t)now;
    }
}

static void say(struct world *w, struct peer *p, const char *text)
{
    say_bytes(w, p, text, strlen(text));
}

// Whether a line is there, or the end.
static bool heard(struct peer *p, json_t **line)
{
    char bytes[65536];
    struct err e;
    ssize_t n;
    while ((n = recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        evbuffer_add(p->in, bytes, (size_t)n);
    p->ended |= n == 0 || errno != EAGAIN;
    return line_take(p->in, line, &e) == LINE_OK || p->ended;
}

static void assert_hears(struct world *w, struct peer *p, const char *want)
{
    json_t *line = NULL;
    LOOP_UNTIL(w->base, heard(p, &line));
    json_t *expected = json_loads(want, 0, NULL);
    assert_non_null(expected);
    if (!line || !json_equal(line, expected)) {
        AUTO_FREE char *text = json_dumps(line, JSON_ENCODE_ANY);
        fail_msg("heard %s", text ? text : "nothing");
    }
    json_decref(expected);
    json_decref(line);
}

// An error with this code and, somewhere in it, this text.
static void assert_hears_error(struct world *w, struct peer *p, int id, const char *code,
                               const char *part)
{
    json_t *line = NULL;
    const char *got = "";
    const char *message = "";
    LOOP_UNTIL(w->base, heard(p, &line));
    const json_t *heard_id = json_object_get(line, "id");
    assert_true(id ? json_integer_value(heard_id) == id : json_is_null(heard_id));
    json_unpack(line, "{s:{s:s, s:s}}", "error", "code", &got, "message", &message);
    assert_string_equal(got, code);
    assert_non_null(strstr(message, part));
    json_decref(line);
}

static void assert_ended(struct world *w, struct peer *p)
{
    json_t *line = NULL;
    LOOP_UNTIL(w->base, heard(p, &line));
    assert_null(line);
    assert_true(p->ended);
}

static struct peer join_unheard(struct world *w)
{
    struct err e;
    struct peer p = {.fd = unix_connect(w->path, NULL, &e), .in = evbuffer_new()};
    assert_true(p.fd >= 0);
    return p;
}

static struct peer join(struct world *w)
{
    struct peer p = join_unheard(w);
    assert_hears(w, &p, "{\"hello\":\"test\"}");
    return p;
}

static void leave(struct peer *p)
{
    close(p->fd);
    evbuffer_free(p->in);
}

static void assert_serves(struct world *w, struct peer *p)
{
    say(w, p, "{\"id\":99,\"verb\":\"echo\"}\n");
    assert_hears(w, p, "{\"id\":99,\"ok\":{\"args\":null}}");
}

static void the_socket_is_private(void **state)
{
    struct world *w = *state;
    struct stat st;
    assert_int_equal(lstat(w->path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_leftover_is_replaced(void **state)
{
    struct world *w = *state;
    struct err e;
    server_free(w->server);
    assert_int_equal(file_write_atomic(w->dir->fd, "ctl", "old", 3, false, &e), 0);
    w->server = server_new(w->base, w->path, json_pack("{s:s}", "hello", "test"), verbs, w, &e);
    assert_non_null(w->server);
    struct peer p = join(w);
    leave(&p);
}

static void a_long_path_is_an_error(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    char path[200] = "/tmp/";
    memset(path + 5, 'x', sizeof path - 6);
    assert_null(server_new(w->base, path, json_object(), verbs, w, &e));
    assert_int_equal(e.code, ERR_USAGE);
}

static void verbs_get_their_arguments(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    say(w, &p, "{\"id\":1,\"verb\":\"echo\",\"args\":{\"a\":[1]}}\n{\"id\":2,\"verb\":\"echo\"}\n");
    assert_hears(w, &p, "{\"id\":1,\"ok\":{\"args\":{\"a\":[1]}}}");
    assert_hears(w, &p, "{\"id\":2,\"ok\":{\"args\":null}}");
    say(w, &p, "{\"id\":3,\"verb\":\"refuse\"}\n");
    assert_hears_error(w, &p, 3, "not-running", "it does not run");
    leave(&p);
}

static void any_id_comes_back(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    say(w, &p, "{\"id\":[\"x\"],\"verb\":\"echo\"}\n{\"verb\":\"echo\"}\n");
    assert_hears(w, &p, "{\"id\":[\"x\"],\"ok\":{\"args\":null}}");
    assert_hears(w, &p, "{\"id\":null,\"ok\":{\"args\":null}}");
    leave(&p);
}

static void what_is_no_verb_is_refused(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    say(w, &p, "{\"id\":1,\"verb\":\"dance\"}\n{\"id\":2}\n{\"id\":3,\"verb\":7}\n");
    assert_hears_error(w, &p, 1, "usage", "'dance'");
    assert_hears_error(w, &p, 2, "usage", "verb");
    assert_hears_error(w, &p, 3, "usage", "verb");
    say(w, &p, "{\"id\":4,\"verb\":\"echo\",\"args\":[]}\n{\"id\":5,\"verb\":\"\"}\n");
    assert_hears_error(w, &p, 4, "usage", "args");
    assert_hears_error(w, &p, 5, "usage", "verb");
    leave(&p);
}

// 79 bytes, then a character of two: a message that cuts it must still arrive.
static void an_unknown_verb_may_be_long(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    char line[200];
    snprintf(line, sizeof line, "{\"id\":1,\"verb\":\"%079d\xc3\xa4\xc3\xa4\"}\n", 0);
    say(w, &p, line);
    assert_hears_error(w, &p, 1, "usage", "unknown verb");
    leave(&p);
}

static void a_malformed_line_ends_nothing(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    say(w, &p, "nonsense\n[]\n{\"a\":\"\xff\"}\n\n");
    for (int i = 0; i < 4; i++)
        assert_hears_error(w, &p, 0, "usage", "not a JSON object");
    assert_serves(w, &p);
    leave(&p);
}

static void a_line_too_long_ends_its_client_only(void **state)
{
    struct world *w = *state;
    struct peer good = join(w);
    struct peer bad = join(w);
    AUTO_FREE char *text = xcalloc(1, LINE_MAX_BYTES + 1);
    memset(text, 'x', LINE_MAX_BYTES + 1);
    say_bytes(w, &bad, text, LINE_MAX_BYTES + 1);
    assert_hears_error(w, &bad, 0, "usage", "longer");
    assert_ended(w, &bad);
    assert_serves(w, &good);
    leave(&bad);
    leave(&good);
}

static void answers_may_come_later_and_in_any_order(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    struct err e;
    err_set(&e, ERR_TIMEOUT, "too late");
    say(w, &p, "{\"id\":1,\"verb\":\"later\"}\n{\"id\":2,\"verb\":\"later\"}\n");
    assert_serves(w, &p);
    assert_int_equal(w->kept_count, 2);
    request_ok(w->kept[1], NULL);
    request_error(w->kept[0], &e);
    assert_hears(w, &p, "{\"id\":2,\"ok\":{}}");
    assert_hears_error(w, &p, 1, "timeout", "too late");
    leave(&p);
}

static void an_answer_may_find_nobody(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    struct peer other = join(w);
    say(w, &p, "{\"id\":1,\"verb\":\"later\"}\n{\"id\":2,\"verb\":\"later\"}\n");
    LOOP_UNTIL(w->base, w->kept_count == 2);
    leave(&p);
    assert_serves(w, &other); // meanwhile the server sees the end of the first
    assert_serves(w, &other);
    request_ok(w->kept[0], NULL);
    assert_serves(w, &other);
    leave(&other);
    // The second one is never answered: server_free() gives it back.
}

static void events_go_to_who_asked(void **state)
{
    struct world *w = *state;
    struct peer asked = join(w);
    struct peer other = join(w);
    say(w, &asked, "{\"id\":1,\"verb\":\"events\"}\n");
    assert_hears(w, &asked, "{\"id\":1,\"ok\":{}}");
    server_event(w->server, json_pack("{s:s}", "event", "state"));
    assert_hears(w, &asked, "{\"event\":\"state\"}");
    assert_serves(w, &other); // and heard nothing else before
    server_event_for(w->server, 2, json_pack("{s:s}", "event", "yours")); // `other`
    assert_hears(w, &asked, "{\"event\":\"yours\"}");
    assert_hears(w, &other, "{\"event\":\"yours\"}");
    leave(&asked);
    leave(&other);
}

static void a_client_that_does_not_read_is_let_go(void **state)
{
    struct world *w = *state;
    struct peer deaf = join(w);
    struct peer other = join(w);
    AUTO_FREE char *text = xcalloc(1, 65536);
    memset(text, 'x', 65535);
    say(w, &deaf, "{\"id\":1,\"verb\":\"events\"}\n");
    assert_hears(w, &deaf, "{\"id\":1,\"ok\":{}}");
    for (int i = 0; i < 256; i++)
        server_event(w->server, json_pack("{s:s, s:s}", "event", "big", "text", text));
    assert_serves(w, &other);
    size_t got = 0;
    for (json_t *line = NULL; !deaf.ended; json_decref(line), line = NULL) {
        LOOP_UNTIL(w->base, heard(&deaf, &line));
        got += json_string_length(json_object_get(line, "text"));
    }
    assert_true(got < 10 << 20);
    assert_serves(w, &other);
    leave(&deaf);
    leave(&other);
}

static void retiring_keeps_who_is_there(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    struct err e;
    bool absent = false;
    server_retire(w->server);
    assert_int_equal(access(w->path, F_OK), -1);
    assert_int_equal(unix_connect(w->path, &absent, &e), -1);
    assert_true(absent);
    assert_serves(w, &p);
    server_retire(w->server);
    assert_int_equal(file_write_atomic(w->dir->fd, "ctl", "new", 3, false, &e), 0);
    server_free(w->server); // leaves alone what has the name since
    w->server = NULL;
    assert_int_equal(access(w->path, F_OK), 0);
    assert_ended(w, &p);
    leave(&p);
}

static void the_last_answer_arrives(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    say(w, &p, "{\"id\":1,\"verb\":\"later\"}\n");
    LOOP_UNTIL(w->base, w->kept_count == 1);
    request_ok(w->kept[0], NULL);
    server_free(w->server); // the loop does not run any more
    w->server = NULL;
    assert_hears(w, &p, "{\"id\":1,\"ok\":{}}");
    assert_ended(w, &p);
    leave(&p);
}

static void *read_to_the_end(void *arg)
{
    struct peer *p = arg;
    static char bytes[65536];
    size_t all = 0;
    for (ssize_t n; (n = recv(p->fd, bytes, sizeof bytes, 0)) > 0;)
        all += (size_t)n;
    return (void *)all;
}

static void a_big_last_answer_arrives_whole(void **state)
{
    struct world *w = *state;
    enum { SIZE = 4 << 20 };
    struct peer p = join(w);
    pthread_t reader;
    void *got;
    AUTO_FREE char *text = xcalloc(1, SIZE + 1);
    memset(text, 'x', SIZE);
    say(w, &p, "{\"id\":1,\"verb\":\"later\"}\n");
    LOOP_UNTIL(w->base, w->kept_count == 1);
    assert_int_equal(pthread_create(&reader, NULL, read_to_the_end, &p), 0);
    request_ok(w->kept[0], json_pack("{s:s}", "text", text));
    server_free(w->server);
    w->server = NULL;
    event_base_loop(w->base, EVLOOP_NONBLOCK); // libevent closes descriptors in its loop
    pthread_join(reader, &got);
    assert_int_equal((size_t)got, SIZE + strlen("{\"id\":1,\"ok\":{\"text\":\"\"}}\n"));
    leave(&p);
}

static void who_does_not_read_does_not_hold_up_the_end(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    AUTO_FREE char *text = xcalloc(1, (4 << 20) + 1);
    memset(text, 'x', 4 << 20);
    say(w, &p, "{\"id\":1,\"verb\":\"later\"}\n");
    LOOP_UNTIL(w->base, w->kept_count == 1);
    request_ok(w->kept[0], json_pack("{s:s}", "text", text));
    int64_t before = clock_ms();
    server_free(w->server);
    w->server = NULL;
    assert_true(clock_ms() - before < 5000);
    leave(&p);
}

static void many_who_do_not_read_do_not_either(void **state)
{
    enum { PEERS = 30 };
    struct world *w = *state;
    struct peer p[PEERS];
    AUTO_FREE char *text = xcalloc(1, (1 << 20) + 1);
    memset(text, 'x', 1 << 20);
    for (int i = 0; i < PEERS; i++) {
        p[i] = join(w);
        say(w, &p[i], "{\"verb\":\"events\"}\n");
        assert_hears(w, &p[i], "{\"id\":null,\"ok\":{}}");
    }
    server_event(w->server, json_pack("{s:s}", "event", text));
    int64_t before = clock_ms();
    server_free(w->server);
    w->server = NULL;
    assert_true(clock_ms() - before < 4000);
    for (int i = 0; i < PEERS; i++)
        leave(&p[i]);
}

// --- many ---

static void one_too_many_waits(void **state)
{
    enum { MOST = 400 };
    struct world *w = *state;
    struct peer p[MOST];
    for (int i = 0; i < MOST; i++)
        p[i] = join(w);
    struct peer waits = join_unheard(w);
    assert_serves(w, &p[0]);
    json_t *line = NULL;
    assert_false(heard(&waits, &line));
    leave(&p[1]);
    assert_hears(w, &waits, "{\"hello\":\"test\"}");
    leave(&waits);
    for (int i = 0; i < MOST; i++)
        if (i != 1)
            leave(&p[i]);
}

// The loop must not go round and round because of a connection that cannot be accepted.
static void without_descriptors_it_waits(void **state)
{
    struct world *w = *state;
    struct rlimit was;
    struct peer p = join_unheard(w);
    getrlimit(RLIMIT_NOFILE, &was);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_max = was.rlim_max});
    event_base_loop(w->base, EVLOOP_NONBLOCK);
    int turns = 0;
    const int64_t end = clock_ms() + 250;
    for (; clock_ms() < end; turns++) {
        event_base_loopexit(w->base, &(struct timeval){.tv_usec = 250000});
        event_base_loop(w->base, EVLOOP_ONCE);
    }
    setrlimit(RLIMIT_NOFILE, &was);
    assert_true(turns < 20);
    assert_hears(w, &p, "{\"hello\":\"test\"}");
    leave(&p);
}

// --- descriptors ---

// One end of a pipe is passed beside a text, and closed here; the other one tells what became of
// it.
static int pass(struct peer *p, const char *text)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(unix_send(p->fd, text, strlen(text), &ends[1], 1), 0);
    close(ends[1]);
    return ends[0];
}

static bool closed(int end)
{
    struct pollfd p = {.fd = end, .events = POLLIN};
    return poll(&p, 1, 0) == 1 && p.revents == POLLHUP;
}

static void a_descriptor_comes_with_its_request(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    char got;
    AUTO_CLOSE int end = pass(&p, "{\"id\":1,\"verb\":\"take\"}\n");
    assert_hears(w, &p, "{\"id\":1,\"ok\":{\"fd\":true}}");
    assert_int_equal(fcntl(w->taken, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(w->taken, "x", 1), 1);
    assert_int_equal(read(end, &got, 1), 1);
    assert_false(closed(end)); // it is the handler's
    close(w->taken);
    assert_true(closed(end));
    say(w, &p, "{\"id\":2,\"verb\":\"take\"}\n");
    assert_hears(w, &p, "{\"id\":2,\"ok\":{\"fd\":false}}");
    leave(&p);
}

static void a_descriptor_finds_the_later_of_two_requests(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    AUTO_CLOSE int end = pass(&p, "{\"id\":1,\"verb\":\"echo\"}\n{\"id\":2,\"verb\":\"take\"}\n");
    assert_hears(w, &p, "{\"id\":1,\"ok\":{\"args\":null}}");
    assert_hears(w, &p, "{\"id\":2,\"ok\":{\"fd\":true}}");
    close(w->taken);
    assert_true(closed(end));
    leave(&p);
}

static void a_descriptor_waits_for_its_whole_line(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    struct peer other = join(w);
    AUTO_CLOSE int end = pass(&p, "{\"id\":1,\"verb\":");
    assert_serves(w, &other); // meanwhile the server reads the first half
    assert_serves(w, &other);
    say(w, &p, "\"take\"}\n");
    assert_hears(w, &p, "{\"id\":1,\"ok\":{\"fd\":true}}");
    close(w->taken);
    assert_true(closed(end));
    leave(&other);
    leave(&p);
}

static void what_nobody_takes_is_closed(void **state)
{
    struct world *w = *state;
    struct peer p = join(w);
    AUTO_CLOSE int end = pass(&p, "{\"id\":1,\"verb\":\"echo\"}\n");
    AUTO_CLOSE int nonsense = -1;
    assert_hears(w, &p, "{\"id\":1,\"ok\":{\"args\":null}}");
    LOOP_UNTIL(w->base, closed(end));
    nonsense = pass(&p, "nonsense\n");
    assert_hears_error(w, &p, 0, "usage", "not a JSON object");
    LOOP_UNTIL(w->base, closed(nonsense));
    leave(&p);
}

static void descriptors_without_lines_do_not_pile_up(void **state)
{
    struct world *w = *state;
    enum { MANY = 12, WAIT = sizeof((struct fds *)0)->fd / sizeof(int) };
    struct peer p = join(w);
    int ends[MANY];
    int open = 0;
    for (int i = 0; i < MANY; i++)
        ends[i] = pass(&p, " ");
    LOOP_UNTIL(w->base, closed(ends[MANY - 1]));
    for (int i = 0; i < MANY; i++)
        open += !closed(ends[i]);
    assert_int_equal(open, WAIT);
    leave(&p);
    for (int i = 0; i < MANY; i++) {
        LOOP_UNTIL(w->base, closed(ends[i]));
        close(ends[i]);
    }
}

// --- the end of a client ---

static void the_end_of_a_client_is_told(void **state)
{
    struct world *w = *state;
    server_on_client_end(w->server, on_client_end);
    struct peer stays = join(w);
    struct peer goes = join(w);
    say(w, &stays, "{\"id\":1,\"verb\":\"who\"}\n");
    assert_hears(w, &stays, "{\"id\":1,\"ok\":{}}");
    uint64_t first = w->asked;
    say(w, &goes, "{\"id\":1,\"verb\":\"who\"}\n{\"id\":2,\"verb\":\"later\"}\n");
    LOOP_UNTIL(w->base, w->kept_count == 1);
    assert_true(first != 0 && w->asked != 0 && w->asked != first);
    assert_int_equal(request_client(w->kept[0]), w->asked);
    assert_int_equal(w->ended, 0);
    leave(&goes);
    LOOP_UNTIL(w->base, w->ended != 0);
    assert_int_equal(w->ended, w->asked);
    assert_int_equal(request_client(w->kept[0]), 0);
    assert_int_equal(request_take_fd(w->kept[0]), -1);
    server_free(w->server);
    w->server = NULL;
    assert_int_not_equal(w->ended, first);
    leave(&stays);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)

int main(void)
{
    signal(SIGPIPE, SIG_IGN); // as Host does
    const struct CMUnitTest tests[] = {
        TEST(the_socket_is_private),
        TEST(a_leftover_is_replaced),
        TEST(a_long_path_is_an_error),
        TEST(verbs_get_their_arguments),
        TEST(any_id_comes_back),
        TEST(what_is_no_verb_is_refused),
        TEST(an_unknown_verb_may_be_long),
        TEST(a_malformed_line_ends_nothing),
        TEST(a_line_too_long_ends_its_client_only),
        TEST(answers_may_come_later_and_in_any_order),
        TEST(an_answer_may_find_nobody),
        TEST(events_go_to_who_asked),
        TEST(a_client_that_does_not_read_is_let_go),
        TEST(retiring_keeps_who_is_there),
        TEST(the_last_answer_arrives),
        TEST(a_big_last_answer_arrives_whole),
        TEST(who_does_not_read_does_not_hold_up_the_end),
        TEST(many_who_do_not_read_do_not_either),
        TEST(one_too_many_waits),
        TEST(without_descriptors_it_waits),
        TEST(a_descriptor_comes_with_its_request),
        TEST(a_descriptor_finds_the_later_of_two_requests),
        TEST(a_descriptor_waits_for_its_whole_line),
        TEST(what_nobody_takes_is_closed),
        TEST(descriptors_without_lines_do_not_pile_up),
        TEST(the_end_of_a_client_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
