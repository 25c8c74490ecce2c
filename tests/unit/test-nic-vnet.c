// The socket NIC's plug in a vnet that answers, refuses, is silent, dies and comes back.
#include "nic-world.h"
#include "proto/server.h"

// A vnet as the NIC sees it: its public socket, its control socket and one plug.
struct lab {
    struct world *w;
    struct plain public;
    struct server *control;
    const char *refusal; // NULL: gives a plug
    int asked;           // for plugs
    int plug;            // its end of the stream; -1: none
    json_t *args;        // of the last asking
    uint64_t owner;      // who asked last
};

static void verb_plug(void *arg, struct request *rq, const json_t *args)
{
    struct lab *l = arg;
    struct err e;
    l->asked++;
    json_decref(l->args);
    l->args = json_deep_copy(args);
    l->owner = request_client(rq);
    if (l->refusal) {
        err_set(&e, ERR_USAGE, "%s", l->refusal);
        request_error(rq, &e);
        return;
    }
    if (l->plug >= 0)
        close(l->plug);
    l->plug = request_take_fd(rq);
    assert_true(l->plug >= 0);
    request_ok(rq, json_pack("{s:i, s:s}", "plug", 7, "network", "home"));
}

static const struct verb verbs[] = {{"plug", verb_plug}, {0}};

static void listen_control(struct lab *l, const char *hello, const char *listens)
{
    char path[110];
    struct err e;
    snprintf(path, sizeof path, "%s.ctl", l->public.path);
    l->control = server_new(l->w->base, path,
                            json_pack("{s:s, s:i, s:i, s:s}", "hello", hello, "version", 1, "pid",
                                      1, "listen", listens),
                            verbs, l, &e);
    assert_non_null(l->control);
}

static struct lab *start_lab(struct world *w)
{
    struct lab *l = xcalloc(1, sizeof *l);
    *l = (struct lab){.w = w, .public = start(w, "net"), .plug = -1};
    listen_control(l, "tailmac-vnet", l->public.path);
    return l;
}

static void end_lab(struct lab *l)
{
    server_free(l->control);
    close(l->public.fd);
    if (l->plug >= 0)
        close(l->plug);
    json_decref(l->args);
    free(l);
}

static void say_unplugged(struct lab *l, int plug)
{
    server_event_for(
        l->control, l->owner,
        json_pack("{s:s, s:i, s:s}", "event", "unplug", "plug", plug, "reason", "unplugged"));
}

static json_t *status_of(const struct world *w, const char *key)
{
    json_t *status = nic_status(w->nic);
    json_t *value = json_incref(json_object_get(status, key));
    json_decref(status);
    return value;
}

static bool says(const struct world *w, const char *key, const char *want)
{
    json_t *value = status_of(w, key);
    const char *text = json_string_value(value);
    bool same = (!text && !want) || (text && want && strcmp(text, want) == 0);
    json_decref(value);
    return same;
}

static void assert_flows(struct world *w, struct lab *l)
{
    send_text(nic_fd(w->nic), "frame");
    assert_receives(l->plug, "frame");
    send_text(l->plug, "answer");
    assert_receives(nic_fd(w->nic), "answer");
    assert_nothing(l->public.fd);
}

static void it_gets_a_stream_to_a_plug(void **state)
{
    struct world *w = *state;
    struct lab *l = start_lab(w);
    nic_attach(w->nic, l->public.path, NULL, NULL);
    LOOP_UNTIL(w->base, nic_up(w->nic));
    assert_flows(w, l);
    json_t *want = json_pack("{s:s, s:s, s:s, s:s}", "kind", "stream", "path", w->path, "mac",
                             "52:cc:cc:cc:cc:07", "name", w->id);
    assert_true(json_equal(l->args, want));
    json_decref(want);
    assert_int_equal(w->sockets, 1);
    assert_int_equal(w->socket, nic_fd(w->nic));
    assert_int_equal(w->ups_before, 0); // with the cable guests begin to speak
    assert_true(says(w, "kind", "vnet"));
    json_t *plug = status_of(w, "plug");
    assert_int_equal(json_integer_value(plug), 7);
    json_decref(plug);
    assert_true(says(w, "note", NULL));
    assert_int_equal(reconnects(w), 0);
    end_lab(l);
}

static void keep_status(void *arg, json_t *status)
{
    json_t **kept = arg;
    assert_null(*kept);
    *kept = status;
}

static void an_attach_is_answered_when_it_is_true(void **state)
{
    struct world *w = *state;
    json_t *answer = NULL;
    json_t *other = NULL;
    struct lab *l = start_lab(w);
    nic_attach(w->nic, l->public.path, keep_status, &answer);
    assert_null(answer);
    LOOP_UNTIL(w->base, answer);
    assert_true(json_is_true(json_object_get(answer, "connected")));
    json_decref(answer);
    answer = NULL;
    nic_attach(w->nic, l->public.path, keep_status, &answer);
    nic_attach(w->nic, NULL, keep_status, &other); // nobody is left without an answer
    assert_true(json_is_false(json_object_get(answer, "connected")));
    assert_true(json_is_null(json_object_get(other, "server")));
    json_decref(answer);
    json_decref(other);
    end_lab(l);
}

// kill -9: all sockets are closed, their names stay.
static void a_vnet_that_restarts_is_found(void **state)
{
    struct world *w = *state;
    struct lab *l = start_lab(w);
    nic_attach(w->nic, l->public.path, NULL, NULL);
    LOOP_UNTIL(w->base, nic_up(w->nic));
    end_lab(l);
    LOOP_UNTIL(w->base, !nic_up(w->nic));
    assert_true(says(w, "kind", NULL));
    int64_t before = clock_ms();
    l = start_lab(w);
    LOOP_UNTIL(w->base, nic_up(w->nic));
    assert_true(clock_ms() - before < 1000);
    assert_flows(w, l);
    assert_int_equal(w->downs, 1);
    assert_int_equal(w->ups, 2);
    assert_int_equal(reconnects(w), 1);
    assert_int_equal(w->sockets, 3); // to vnet, back, and to vnet
    end_lab(l);
}

// A vnet puts another socket at its path for each client that is connected there: nothing to a
// plug, and nor is what nobody reads yet.
static void a_plug_is_let_alone(void **state)
{
    struct world *w = *state;
    struct lab *l = start_lab(w);
    nic_attach(w->nic, l->public.path, NULL, NULL);
    LOOP_UNTIL(w->base, nic_up(w->nic));
    close(l->public.fd);
    l->public = start(w, "net");
    send_text(l->plug, "unread");
    send_text(nic_fd(w->nic), "unread");
    w->sockets = 0;
    assert_patience(w);
    assert_int_equal(l->asked, 1);
    assert_int_equal(w->downs, 0);
    assert_receives(nic_fd(w->nic), "unread");
    assert_receives(l->plug, "unread");
    assert_flows(w, l);
    end_lab(l);
}

static void from_a_vnet_it_moves_to_a_plain_server(void **state)
{
    struct world *w = *state;
    struct lab *l = start_lab(w);
    struct plain s = start(w, "plain");
    nic_attach(w->nic, l->public.path, NULL, NULL);
    LOOP_UNTIL(w->base, nic_up(w->nic));
    nic_attach(w->nic, s.path, NULL, NULL);
    assert_true(says(w, "kind", "plain"));
    assert_int_equal(w->socket, nic_fd(w->nic));
    send_text(nic_fd(w->nic), "frame");
    assert_receives(s.fd, "frame");
    close(s.fd);
    end_lab(l);
}

static void a_refused_nic_says_why_and_waits_for_a_restart(void **state)
{
    struct world *w = *state;
    struct lab *l = start_lab(w);
    json_t *answer = NULL;
    l->refusal = "no node has this MAC";
    nic_attach(w->nic, l->public.path, keep_status, &answer);
    LOOP_UNTIL(w->base, answer);
    assert_string_equal(json_string_value(json_object_get(answer, "note")), l->refusal);
    assert_false(nic_up(w->nic));
    json_decref(answer);
    assert_int_equal(send(nic_fd(w->nic), "x", 1, MSG_DONTWAIT), -1);
    assert_int_equal(l->asked, 1);
    end_lab(l);
    l = start_lab(w);
    LOOP_UNTIL(w->base, nic_up(w->nic));
    assert_true(says(w, "note", NULL));
    assert_int_equal(w->downs, 0);
    end_lab(l);
}

static void a_refused_nic_may_be_attached_again(void **state)
{
    struct world *w = *state;
    struct lab *l = start_lab(w);
    l->refusal = "no";
    nic_attach(w->nic, l->public.path, NULL, NULL);
    LOOP_UNTIL(w->base, says(w, "note", "no"));
    l->refusal = NULL;
    nic_attach(w->nic, l->public.path, NULL, NULL);
    LOOP_UNTIL(w->base, nic_up(w->nic));
    assert_int_equal(l->asked, 2);
    end_lab(l);
}

static void an_unplugged_nic_says_so_and_may_be_attached_again(void **state)
{
    struct world *w = *state;
    struct lab *l = start_lab(w);
    nic_attach(w->nic, l->public.path, NULL, NULL);
    LOOP_UNTIL(w->base, nic_up(w->nic));
    say_unplugged(l, 8); // somebody else's
    w->sockets = 0;
    assert_patience(w);
    assert_flows(w, l);
    say_unplugged(l, 7);
    LOOP_UNTIL(w->base, !nic_up(w->nic));
    assert_true(says(w, "note", "unplugged"));
    assert_true(says(w, "kind", NULL));
    json_t *connected = status_of(w, "connected");
    assert_true(json_is_false(connected));
    json_decref(connected);
    assert_int_equal(w->sockets, 1); // its own again
    assert_int_equal(send(w->socket, "x", 1, MSG_DONTWAIT), -1);
    assert_int_equal(l->asked, 1);
    nic_attach(w->nic, l->public.path, NULL, NULL);
    LOOP_UNTIL(w->base, nic_up(w->nic));
    assert_true(says(w, "note", NULL));
    assert_flows(w, l);
    end_lab(l);
}

static void while_held_it_asks_for_no_plug(void **state)
{
    struct world *w = *state;
    struct lab *l = start_lab(w);
    json_t *answer = NULL;
    nic_hold(w->nic, true);
    nic_attach(w->nic, l->public.path, keep_status, &answer);
    assert_non_null(answer);
    json_decref(answer);
    assert_int_equal(l->asked, 0);
    nic_hold(w->nic, false);
    LOOP_UNTIL(w->base, w->ups == 1);
    assert_flows(w, l);
    nic_hold(w->nic, true);
    assert_int_equal(send(nic_fd(w->nic), "x", 1, MSG_DONTWAIT), -1);
    end_lab(l);
}

// As a vnet that starts may look for a moment.
static void a_control_socket_that_comes_late_is_used(void **state)
{
    struct world *w = *state;
    struct lab l = {.w = w, .public = start(w, "net"), .plug = -1};
    nic_attach(w->nic, l.public.path, NULL, NULL);
    assert_true(says(w, "kind", "plain"));
    listen_control(&l, "tailmac-vnet", l.public.path);
    LOOP_UNTIL(w->base, says(w, "kind", "vnet"));
    assert_int_equal(w->downs, 0);
    assert_flows(w, &l);
    server_free(l.control);
    close(l.public.fd);
    close(l.plug);
    json_decref(l.args);
}

static void other_control_sockets_make_a_plain_server(void **state)
{
    static const char *const others[][2] = {
        {"tailmac-host", NULL}, {"tailmac-vnet", "/tmp/another"}, {"", NULL}};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct lab l = {.w = w, .public = start(w, "net"), .plug = -1};
        listen_control(&l, others[i][0], others[i][1] ? others[i][1] : l.public.path);
        nic_attach(w->nic, l.public.path, NULL, NULL);
        LOOP_UNTIL(w->base, nic_up(w->nic));
        assert_true(says(w, "kind", "plain"));
        send_text(nic_fd(w->nic), "frame");
        assert_receives(l.public.fd, "frame");
        assert_int_equal(l.asked, 0);
        server_free(l.control);
        close(l.public.fd);
    }
}

static void a_silent_control_socket_makes_a_plain_server(void **state)
{
    struct world *w = *state;
    struct plain s = start(w, "net");
    char path[110];
    char byte;
    struct err e;
    json_t *answer = NULL;
    snprintf(path, sizeof path, "%s.ctl", s.path);
    int silent = unix_listen(path, &e);
    nic_attach(w->nic, s.path, keep_status, &answer);
    int client = accept(silent, NULL, NULL);
    assert_true(client >= 0);
    LOOP_UNTIL(w->base, answer);
    assert_string_equal(json_string_value(json_object_get(answer, "kind")), "plain");
    json_decref(answer);
    assert_int_equal(recv(client, &byte, 1, 0), 0); // it is let alone
    close(client);
    close(silent);
    close(s.fd);
}

static void detaching_ends_the_plug(void **state)
{
    struct world *w = *state;
    struct lab *l = start_lab(w);
    nic_attach(w->nic, l->public.path, NULL, NULL);
    LOOP_UNTIL(w->base, nic_up(w->nic));
    nic_attach(w->nic, NULL, NULL, NULL);
    assert_true(says(w, "kind", NULL));
    assert_int_equal(w->downs, 1);
    assert_int_equal(send(nic_fd(w->nic), "x", 1, MSG_DONTWAIT), -1);
    end_lab(l);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world_with_nic, free_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_gets_a_stream_to_a_plug),
        TEST(an_attach_is_answered_when_it_is_true),
        TEST(a_vnet_that_restarts_is_found),
        TEST(a_plug_is_let_alone),
        TEST(from_a_vnet_it_moves_to_a_plain_server),
        TEST(a_refused_nic_says_why_and_waits_for_a_restart),
        TEST(a_refused_nic_may_be_attached_again),
        TEST(an_unplugged_nic_says_so_and_may_be_attached_again),
        TEST(while_held_it_asks_for_no_plug),
        TEST(a_control_socket_that_comes_late_is_used),
        TEST(other_control_sockets_make_a_plain_server),
        TEST(a_silent_control_socket_makes_a_plain_server),
        TEST(detaching_ends_the_plug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
