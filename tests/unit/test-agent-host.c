// Host's end of the agent's channel, with the guest's end in the test's hands.
#include "host/agent.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/wire.h"
#include "base/mem.h"
#include "loop.h"
#include "proto/unix.h"

enum { REQUEST_MS = 5000 };

struct world {
    struct event_base *base;
    struct agent *agent;
    int ready, changed;
    int fd; // the guest's end
    struct wire_decoder decoder;
    unsigned char held[WIRE_FRAME_MAX];
    uint32_t nonce; // of the last frame heard
    char text[512]; // its payload
};

struct answer {
    int count;
    int code; // 0: it was done
    char msg[sizeof((struct err *)0)->msg];
};

static void on_ready(void *arg)
{
    struct world *w = arg;
    w->ready++;
}

static void on_changed(void *arg)
{
    struct world *w = arg;
    w->changed++;
}

static void on_done(void *arg, const struct err *why)
{
    struct answer *a = arg;
    a->count++;
    a->code = why ? (int)why->code : 0;
    snprintf(a->msg, sizeof a->msg, "%s", why ? why->msg : "");
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
    wire_decoder_init(&w->decoder, w->held, sizeof w->held);
    *state = w;
    return 0;
}

static int free_world(void **state)
{
    struct world *w = *state;
    agent_free(w->agent);
    event_base_free(w->base);
    if (w->fd >= 0)
        close(w->fd);
    free(w);
    return 0;
}

static bool heard(struct world *w, unsigned *type)
{
    struct wire_frame f;
    size_t room;
    void *space = wire_space(&w->decoder, &room);
    ssize_t n = recv(w->fd, space, room, MSG_DONTWAIT);
    wire_added(&w->decoder, n > 0 ? (size_t)n : 0);
    if (!wire_next(&w->decoder, &f))
        return false;
    *type = f.type;
    w->nonce = f.nonce;
    snprintf(w->text, sizeof w->text, "%.*s", (int)f.length, f.payload);
    return true;
}

static void assert_hears(struct world *w, unsigned want)
{
    unsigned type = 0;
    LOOP_UNTIL(w->base, heard(w, &type));
    assert_string_equal(wire_type_name(type), wire_type_name(want));
}

static void say_bytes(struct world *w, const void *data, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t sent = 0;
        LOOP_UNTIL(w->base,
                   (sent = send(w->fd, (const char *)data + at, n - at, MSG_DONTWAIT)) > 0);
        at += (size_t)sent;
    }
}

// A frame of which every value is printed verbatim: {"key", "value", …, NULL}.
static void say_as(struct world *w, uint32_t nonce, unsigned type, const char *const *pairs)
{
    static unsigned char buf[WIRE_FRAME_MAX];
    struct wire_writer writer;
    wire_begin(&writer, buf, sizeof buf, type, nonce);
    for (; *pairs; pairs += 2)
        wire_put(&writer, pairs[0], "%s", pairs[1]);
    size_t n = wire_end(&writer);
    assert_true(n > 0);
    say_bytes(w, buf, n);
}

#define SAY(w, type, ...) say_as(w, (w)->nonce, type, (const char *const[]){__VA_ARGS__, NULL})

static void open_session(struct world *w)
{
    int before = w->ready;
    agent_open(w->agent);
    assert_hears(w, WIRE_HELLO);
    SAY(w, WIRE_READY, "agent", "1", "hostname", "guest");
    LOOP_UNTIL(w->base, w->ready > before);
}

static void assert_status(const struct world *w, const char *want)
{
    json_t *is = agent_status(w->agent);
    json_t *expected = json_loads(want, 0, NULL);
    assert_non_null(expected);
    if (!json_equal(is, expected)) {
        char *text = json_dumps(is, JSON_COMPACT);
        fail_msg("the status is %s", text);
    }
    json_decref(is);
    json_decref(expected);
}

static void greetings_repeat_until_answered(void **state)
{
    struct world *w = *state;
    assert_status(w, "{\"ready\":false}");
    agent_open(w->agent);
    assert_hears(w, WIRE_HELLO);
    uint32_t nonce = w->nonce;
    assert_true(nonce != 0);
    for (int i = 0; i < 2; i++) {
        assert_hears(w, WIRE_HELLO);
        assert_true(w->nonce == nonce);
    }
    assert_false(agent_is_ready(w->agent));
    SAY(w, WIRE_READY, "agent", "1");
    LOOP_UNTIL(w->base, w->ready);
    assert_true(agent_is_ready(w->agent));
    assert_int_equal(w->changed, 0);
}

static void facts_are_kept(void **state)
{
    struct world *w = *state;
    agent_open(w->agent);
    assert_hears(w, WIRE_HELLO);
    SAY(w, WIRE_READY, "version", "1", "agent", "0.1", "hostname", "guest", "uptime", "7", "nic",
        "eth0 52:cc:cc:cc:cc:01 up 192.168.0.7/24,fe80::1/64", "nic",
        "eth1 52:cc:cc:cc:cc:02 down -", "other", "passed over");
    LOOP_UNTIL(w->base, w->ready);
    assert_status(w, "{\"ready\":true,\"agent\":\"0.1\",\"hostname\":\"guest\",\"uptime\":\"7\","
                     "\"nics\":[{\"name\":\"eth0\",\"mac\":\"52:cc:cc:cc:cc:01\",\"up\":true,"
                     "\"addresses\":[\"192.168.0.7/24\",\"fe80::1/64\"]},"
                     "{\"name\":\"eth1\",\"mac\":\"52:cc:cc:cc:cc:02\",\"up\":false,"
                     "\"addresses\":[]}]}");
    SAY(w, WIRE_INFO, "hostname", "other");
    LOOP_UNTIL(w->base, w->changed == 1);
    assert_status(w, "{\"ready\":true,\"hostname\":\"other\",\"nics\":[]}");
    SAY(w, WIRE_READY, "hostname", "again"); // the answer to a greeting that was repeated
    LOOP_UNTIL(w->base, w->changed == 2);
    assert_int_equal(w->ready, 1);
}

static void other_sessions_are_not_believed(void **state)
{
    struct world *w = *state;
    agent_open(w->agent);
    assert_hears(w, WIRE_HELLO);
    uint32_t nonce = w->nonce;
    SAY(w, WIRE_INFO, "hostname", "early");
    say_as(w, nonce + 1 ? nonce + 1 : 1, WIRE_READY,
           (const char *const[]){"hostname", "wrong", NULL});
    SAY(w, WIRE_READY, "hostname", "right");
    LOOP_UNTIL(w->base, w->ready);
    assert_status(w, "{\"ready\":true,\"hostname\":\"right\",\"nics\":[]}");
    agent_open(w->agent); // as after a restore
    assert_false(agent_is_ready(w->agent));
    assert_hears(w, WIRE_HELLO);
    assert_true(w->nonce != nonce);
    say_as(w, nonce, WIRE_READY, (const char *const[]){"hostname", "old", NULL});
    SAY(w, WIRE_READY, "hostname", "new");
    LOOP_UNTIL(w->base, w->ready == 2);
    assert_status(w, "{\"ready\":true,\"hostname\":\"new\",\"nics\":[]}");
    agent_close(w->agent, "closed");
    assert_status(w, "{\"ready\":false}");
    assert_int_equal(w->changed, 0);
}

// Sends a request; its id, as the guest reads it.
static void ask_for(struct world *w, struct settings *s, struct answer *a, char id[static 16])
{
    agent_set(w->agent, s, REQUEST_MS, on_done, a);
    assert_hears(w, WIRE_SET);
    assert_int_equal(sscanf(w->text, "id=%15[0-9]", id), 1);
}

static void ask(struct world *w, struct answer *a, char id[static 16])
{
    static struct settings one;
    settings_clear(&one);
    settings_add(&one, "hostname", "new");
    ask_for(w, &one, a, id);
    assert_non_null(strstr(w->text, "hostname=new\n"));
}

// What became of each item, whatever the guest says of them.
static void outcomes_are_matched_with_what_was_asked(void **state)
{
    struct world *w = *state;
    struct answer a = {0};
    struct settings s = {0};
    char id[16];
    open_session(w);
    settings_add(&s, "address", "one");
    settings_add(&s, "address", "two");
    settings_add(&s, "hostname", "x");
    settings_add(&s, "sync", "1");
    ask_for(w, &s, &a, id);
    SAY(w, WIRE_OK, "id", id, "failed", "address no such \x1b[31mNIC", "done", "nonsense", "done",
        "address two", "done", "", "failed", "sync", "done", "sync 1", "done", "address 3");
    LOOP_UNTIL(w->base, a.count);
    assert_int_equal(a.code, 0);
    json_t *is = settings_report(&s);
    json_t *want =
        json_loads("[{\"item\":\"address\",\"done\":false,\"detail\":\"no such ?[31mNIC\"},"
                   "{\"item\":\"address\",\"done\":true,\"detail\":\"two\"},"
                   "{\"item\":\"hostname\",\"done\":false,"
                   "\"detail\":\"the agent does not say what became of it\"},"
                   "{\"item\":\"sync\",\"done\":false,\"detail\":\"\"}]",
                   0, NULL);
    assert_true(json_equal(is, want));
    json_decref(is);
    json_decref(want);
    settings_clear(&s);
}

static void an_old_agent_is_found_out(void **state)
{
    struct world *w = *state;
    struct err e;
    open_session(w);
    assert_int_equal(agent_check_set(w->agent, &e), -1);
    assert_non_null(strstr(e.msg, "too old"));
    SAY(w, WIRE_READY, "can", "exec set");
    LOOP_UNTIL(w->base, w->changed == 1);
    assert_int_equal(agent_check_set(w->agent, &e), 0);
}

static void requests_are_answered_by_id(void **state)
{
    struct world *w = *state;
    struct answer a[2] = {0};
    char id[2][16];
    open_session(w);
    ask(w, &a[0], id[0]);
    ask(w, &a[1], id[1]);
    assert_string_not_equal(id[0], id[1]);
    SAY(w, WIRE_OK, "id", "12345");
    SAY(w, WIRE_OK, "text", "no id");
    SAY(w, WIRE_ERROR, "id", id[1], "message", "no such \x1b[31mNIC");
    LOOP_UNTIL(w->base, a[1].count);
    assert_int_equal(a[1].code, ERR_FAILED);
    assert_string_equal(a[1].msg, "the guest's agent: no such ?[31mNIC");
    assert_int_equal(a[0].count, 0);
    SAY(w, WIRE_OK, "id", id[1]); // a second answer is of no consequence
    SAY(w, WIRE_OK, "id", id[0]);
    LOOP_UNTIL(w->base, a[0].count);
    assert_int_equal(a[0].code, 0);
    ask(w, &a[0], id[0]);
    SAY(w, WIRE_ERROR, "id", id[0]);
    LOOP_UNTIL(w->base, a[0].count == 2);
    assert_string_equal(a[0].msg, "the guest's agent: unknown error");
    assert_int_equal(a[1].count, 1);
}

static void a_look_is_kept_with_the_facts(void **state)
{
    struct world *w = *state;
    static const char *const odd[] = {"nan", "1e999", "x", "", "0x", "inf"};
    struct answer a = {0};
    char id[16];
    open_session(w);
    for (size_t i = 0; i <= sizeof odd / sizeof *odd; i++) {
        bool last = i == sizeof odd / sizeof *odd;
        agent_look(w->agent, on_done, &a);
        assert_hears(w, WIRE_LOOK);
        assert_int_equal(sscanf(w->text, "id=%15[0-9]", id), 1);
        SAY(w, WIRE_OK, "id", id, "load", last ? "0.5" : odd[i], "memory-total",
            last ? "1000" : "-1", "memory-available", last ? "500" : "99999999999999999999",
            "uptime", last ? "8.001" : "");
        LOOP_UNTIL(w->base, a.count == (int)i + 1);
    }
    assert_status(w, "{\"ready\":true,\"agent\":\"1\",\"hostname\":\"guest\",\"nics\":[],"
                     "\"load\":0.5,\"memory_total\":1000,\"memory_available\":500,"
                     "\"uptime\":\"8.001\"}");
}

struct timers {
    const struct event *found[8];
    int count;
};

// Timers that run for more than two seconds from now: requests, not greetings.
static int collect(const struct event_base *base, const struct event *ev, void *arg)
{
    struct timers *t = arg;
    struct timeval at;
    struct timeval now;
    event_base_gettimeofday_cached((struct event_base *)base, &now);
    if (event_pending(ev, EV_TIMEOUT, &at) && at.tv_sec > now.tv_sec + 2 && t->count < 8)
        t->found[t->count++] = ev;
    return 0;
}

static void silence_is_a_timeout(void **state)
{
    struct world *w = *state;
    struct answer a = {0};
    struct timers timers = {0};
    char id[16];
    open_session(w);
    ask(w, &a, id);
    event_base_foreach_event(w->base, collect, &timers);
    assert_int_equal(timers.count, 1);
    event_active((struct event *)timers.found[0], EV_TIMEOUT, 0); // instead of waiting
    LOOP_UNTIL(w->base, a.count);
    assert_int_equal(a.code, ERR_TIMEOUT);
    SAY(w, WIRE_OK, "id", id); // too late
    SAY(w, WIRE_INFO, "hostname", "x");
    LOOP_UNTIL(w->base, w->changed);
    assert_int_equal(a.count, 1);
}

static void closing_fails_what_is_open(void **state)
{
    struct world *w = *state;
    struct answer a[3] = {0};
    char id[16];
    open_session(w);
    ask(w, &a[0], id);
    ask(w, &a[1], id);
    agent_close(w->agent, "closed");
    assert_int_equal(a[0].count, 1);
    assert_int_equal(a[1].code, ERR_FAILED);
    open_session(w);
    assert_int_equal(a[0].count + a[1].count, 2);
    ask(w, &a[2], id);
    close(w->fd); // the engine ended
    w->fd = -1;
    LOOP_UNTIL(w->base, a[2].count);
    assert_false(agent_is_ready(w->agent));
    agent_open(w->agent);
    assert_int_equal(event_base_loop(w->base, EVLOOP_NONBLOCK), 0);
}

static void hostile_bytes_are_passed_over(void **state)
{
    struct world *w = *state;
    enum { SIZE = 1 << 20 };
    unsigned char *noise = xcalloc(1, SIZE);
    uint32_t random = 1;
    open_session(w);
    for (size_t i = 0; i < SIZE; i++) {
        random = random * 1664525 + 1013904223;
        noise[i] = (unsigned char)(random >> 24);
        if (i % 1000 == 0 && i + 4 < SIZE)
            memcpy(noise + i, "tmA1", 4);
    }
    say_bytes(w, noise, SIZE);
    free(noise);
    SAY(w, WIRE_INFO, "hostname", "still there");
    SAY(w, WIRE_INFO, "hostname", "still there"); // one may have been taken for a payload
    LOOP_UNTIL(w->base, w->changed);
    assert_status(w, "{\"ready\":true,\"hostname\":\"still there\",\"nics\":[]}");
}

static void odd_facts_do_no_harm(void **state)
{
    struct world *w = *state;
    static char nic[2000] = "eth0 52:cc:cc:cc:cc:01 up ";
    static char huge[2000];
    memset(huge, 'x', sizeof huge - 1);
    for (int i = 0; i < 200; i++)
        strcat(nic, "1.1/8,");
    open_session(w);
    SAY(w, WIRE_INFO, "hostname", "\xff\x1b]0;x\x07", "agent", huge, "uptime", "", "nic", "", "nic",
        "eth0", "nic", "eth0 mac", "nic", "eth0 52:cc:cc:cc:cc:01 up", "nic", nic, "nic", huge,
        "nic", "\xc3\x28 52:cc:cc:cc:cc:01 up \xff,ok,,-", "nic", "e m u 1");
    LOOP_UNTIL(w->base, w->changed);
    assert_status(w,
                  "{\"ready\":true,\"hostname\":\"??]0;x?\",\"uptime\":\"\",\"nics\":["
                  "{\"name\":\"eth0\",\"mac\":\"52:cc:cc:cc:cc:01\",\"up\":true,\"addresses\":[]},"
                  "{\"name\":\"?(\",\"mac\":\"52:cc:cc:cc:cc:01\",\"up\":true,"
                  "\"addresses\":[\"?\",\"ok\"]},"
                  "{\"name\":\"e\",\"mac\":\"m\",\"up\":false,\"addresses\":[\"1\"]}]}");
}

static void lists_have_a_limit(void **state)
{
    struct world *w = *state;
    static const char *pairs[2001];
    static char nic[1000] = "eth0 52:cc:cc:cc:cc:01 up ";
    for (int i = 0; i < 100; i++)
        strcat(nic, "10.1/8,");
    open_session(w);
    for (int i = 0; i < 2000; i += 2) {
        pairs[i] = "nic";
        pairs[i + 1] = i == 0 ? nic : "eth0 52:cc:cc:cc:cc:01 up -";
    }
    say_as(w, w->nonce, WIRE_INFO, pairs);
    LOOP_UNTIL(w->base, w->changed);
    json_t *status = agent_status(w->agent);
    const json_t *nics = json_object_get(status, "nics");
    assert_int_equal(json_array_size(nics), 1000);
    assert_int_equal(json_array_size(json_object_get(json_array_get(nics, 0), "addresses")), 64);
    json_decref(status);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)

int main(void)
{
    signal(SIGPIPE, SIG_IGN); // as Host does
    const struct CMUnitTest tests[] = {
        TEST(greetings_repeat_until_answered),
        TEST(facts_are_kept),
        TEST(other_sessions_are_not_believed),
        TEST(requests_are_answered_by_id),
        TEST(outcomes_are_matched_with_what_was_asked),
        TEST(an_old_agent_is_found_out),
        TEST(a_look_is_kept_with_the_facts),
        TEST(silence_is_a_timeout),
        TEST(closing_fails_what_is_open),
        TEST(hostile_bytes_are_passed_over),
        TEST(odd_facts_do_no_harm),
        TEST(lists_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
