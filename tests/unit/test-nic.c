// The socket NIC's link under servers that come, go, come back and hang.
#include "nic-world.h"

static void it_has_a_private_socket(void **state)
{
    struct world *w = *state;
    struct stat st;
    assert_int_equal(lstat(w->path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_false(nic_up(w->nic));
}

static void a_server_that_is_there_is_used_at_once(void **state)
{
    struct world *w = *state;
    struct plain s = start(w, "net");
    nic_attach(w->nic, s.path, NULL, NULL);
    assert_true(nic_up(w->nic));
    assert_int_equal(w->ups, 1);
    send_text(nic_fd(w->nic), "frame");
    assert_receives(s.fd, "frame");
    send_to(&s, w->path, "answer");
    assert_receives(nic_fd(w->nic), "answer");
    json_t *status = nic_status(w->nic);
    assert_string_equal(json_string_value(json_object_get(status, "path")), w->path);
    assert_string_equal(json_string_value(json_object_get(status, "server")), s.path);
    assert_true(json_is_true(json_object_get(status, "connected")));
    assert_true(json_integer_value(json_object_get(status, "sndbuf")) > 0);
    json_decref(status);
    close(s.fd);
}

static void a_server_may_come_later(void **state)
{
    struct world *w = *state;
    char path[100];
    snprintf(path, sizeof path, "%s/net", w->dir->path);
    nic_attach(w->nic, path, NULL, NULL);
    assert_false(nic_up(w->nic));
    struct plain s = start(w, "net");
    LOOP_UNTIL(w->base, nic_up(w->nic));
    assert_int_equal(w->ups, 1);
    assert_int_equal(w->downs, 0);
    assert_int_equal(reconnects(w), 0);
    close(s.fd);
}

static void a_server_that_goes_pulls_the_cable(void **state)
{
    struct world *w = *state;
    struct plain s = start(w, "net");
    nic_attach(w->nic, s.path, NULL, NULL);
    close(s.fd); // its name stays, as after a crash
    LOOP_UNTIL(w->base, !nic_up(w->nic));
    assert_int_equal(w->downs, 1);
    s = start(w, "net");
    LOOP_UNTIL(w->base, nic_up(w->nic));
    assert_int_equal(w->ups, 2);
    assert_int_equal(reconnects(w), 1);
    send_text(nic_fd(w->nic), "frame");
    assert_receives(s.fd, "frame");
    assert_int_equal(w->sockets, 1);
    assert_int_equal(w->socket, nic_fd(w->nic));
    close(s.fd);
}

static void a_name_that_goes_pulls_the_cable(void **state)
{
    struct world *w = *state;
    struct plain s = start(w, "net");
    nic_attach(w->nic, s.path, NULL, NULL);
    assert_int_equal(unlink(s.path), 0);
    LOOP_UNTIL(w->base, !nic_up(w->nic));
    close(s.fd);
}

// Between two looks, and so fast that the file system gives its socket the old one's inode.
static void a_quick_restart_is_noticed(void **state)
{
    struct world *w = *state;
    const struct timespec a_while_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct plain s = start(w, "net");
    assert_int_equal(utimensat(AT_FDCWD, s.path, a_while_ago, 0), 0);
    nic_attach(w->nic, s.path, NULL, NULL);
    close(s.fd);
    s = start(w, "net");
    LOOP_UNTIL(w->base, reconnects(w) == 1);
    send_text(nic_fd(w->nic), "frame");
    assert_receives(s.fd, "frame");
    close(s.fd);
}

// The old one is still open somewhere: only the name tells.
static void a_new_server_of_that_name_is_used(void **state)
{
    struct world *w = *state;
    struct plain old = start(w, "net");
    nic_attach(w->nic, old.path, NULL, NULL);
    struct plain new = start(w, "net");
    LOOP_UNTIL(w->base, reconnects(w) == 1);
    assert_int_equal(w->downs, 0);
    send_text(nic_fd(w->nic), "frame");
    assert_receives(new.fd, "frame");
    assert_nothing(old.fd);
    close(old.fd);
    close(new.fd);
}

// Whom it talks to alone, and who does not read: what waits there is on the sender's account.
static void fill_queue(struct world *w, int server)
{
    struct sockaddr_un addr;
    struct err e;
    static const char frame[60000];
    assert_int_equal(unix_address(w->path, &addr, &e), 0);
    assert_int_equal(connect(server, (struct sockaddr *)&addr, sizeof addr), 0);
    while (send(nic_fd(w->nic), frame, sizeof frame, MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
}

static void what_a_hung_server_has_not_read_holds_up_no_other(void **state)
{
    struct world *w = *state;
    struct plain old = start(w, "net");
    nic_attach(w->nic, old.path, NULL, NULL);
    fill_queue(w, old.fd);
    struct plain new = start(w, "net");
    LOOP_UNTIL(w->base, reconnects(w) == 1);
    send_text(nic_fd(w->nic), "frame");
    assert_receives(new.fd, "frame");
    fill_queue(w, new.fd);
    assert_int_equal(unlink(new.path), 0);
    LOOP_UNTIL(w->base, !nic_up(w->nic));
    struct plain newest = start(w, "net");
    LOOP_UNTIL(w->base, nic_up(w->nic));
    send_text(nic_fd(w->nic), "frame");
    assert_receives(newest.fd, "frame");
    close(old.fd);
    close(new.fd);
    close(newest.fd);
}

// With a fresh socket under the old name: frames that the old server holds up are left behind.
static void it_moves_to_another_server(void **state)
{
    struct world *w = *state;
    struct plain a = start(w, "a");
    struct plain b = start(w, "b");
    nic_attach(w->nic, a.path, NULL, NULL);
    int before = dup(nic_fd(w->nic)); // as the engine has it
    send_to(&a, w->path, "old");
    nic_attach(w->nic, b.path, NULL, NULL);
    assert_int_equal(w->sockets, 1);
    assert_int_equal(w->socket, nic_fd(w->nic));
    assert_int_equal(w->ups, 2);
    assert_int_equal(w->downs, 1);
    assert_nothing(nic_fd(w->nic));
    send_text(nic_fd(w->nic), "frame");
    assert_receives(b.fd, "frame");
    assert_nothing(a.fd);
    send_to(&b, w->path, "answer");
    assert_receives(nic_fd(w->nic), "answer");
    assert_nothing(before);
    close(before);
    close(a.fd);
    close(b.fd);
}

static void it_moves_to_a_server_to_come(void **state)
{
    struct world *w = *state;
    struct plain a = start(w, "a");
    char path[100];
    snprintf(path, sizeof path, "%s/b", w->dir->path);
    nic_attach(w->nic, a.path, NULL, NULL);
    nic_attach(w->nic, path, NULL, NULL);
    assert_false(nic_up(w->nic));
    struct plain b = start(w, "b");
    LOOP_UNTIL(w->base, nic_up(w->nic));
    send_text(nic_fd(w->nic), "frame");
    assert_receives(b.fd, "frame");
    close(a.fd);
    close(b.fd);
}

static void detaching_pulls_the_cable(void **state)
{
    struct world *w = *state;
    struct plain s = start(w, "net");
    nic_attach(w->nic, s.path, NULL, NULL);
    nic_attach(w->nic, NULL, NULL, NULL);
    assert_false(nic_up(w->nic));
    assert_int_equal(w->downs, 1);
    assert_int_equal(send(nic_fd(w->nic), "x", 1, MSG_DONTWAIT), -1);
    json_t *status = nic_status(w->nic);
    assert_true(json_is_null(json_object_get(status, "server")));
    json_decref(status);
    nic_attach(w->nic, s.path, NULL, NULL);
    assert_true(nic_up(w->nic));
    close(s.fd);
}

static void while_held_it_is_unconnected(void **state)
{
    struct world *w = *state;
    struct plain s = start(w, "net");
    nic_hold(w->nic, true);
    nic_attach(w->nic, s.path, NULL, NULL);
    assert_int_equal(send(nic_fd(w->nic), "x", 1, MSG_DONTWAIT), -1);
    assert_true(nic_up(w->nic)); // what the guest sends goes nowhere, but it goes
    assert_int_equal(w->ups, 0);
    nic_hold(w->nic, false);
    assert_int_equal(w->ups, 1);
    nic_hold(w->nic, true);
    assert_int_equal(send(nic_fd(w->nic), "x", 1, MSG_DONTWAIT), -1);
    nic_hold(w->nic, true);
    assert_int_equal(w->downs, 1);
    nic_hold(w->nic, false);
    send_text(nic_fd(w->nic), "frame");
    assert_receives(s.fd, "frame");
    close(s.fd);
}

static void a_deaf_nic_gets_a_new_socket(void **state)
{
    struct world *w = *state;
    struct plain s = start(w, "net");
    nic_attach(w->nic, s.path, NULL, NULL);
    send_to(&s, w->path, "stuck"); // and nobody reads it
    LOOP_UNTIL(w->base, is_replaced_while_it_sends(w, s.fd));
    assert_int_equal(w->sockets, 1);
    assert_int_equal(w->socket, nic_fd(w->nic));
    assert_true(nic_up(w->nic));
    assert_int_equal(w->downs, 0);
    assert_nothing(nic_fd(w->nic));
    send_to(&s, w->path, "next");
    assert_receives(nic_fd(w->nic), "next");
    send_text(nic_fd(w->nic), "frame");
    assert_receives(s.fd, "frame");
    close(s.fd);
}

// It boots, or is paused, or reboots.
static void a_silent_guest_is_not_deaf(void **state)
{
    struct world *w = *state;
    struct plain s = start(w, "net");
    nic_attach(w->nic, s.path, NULL, NULL);
    send_text(nic_fd(w->nic), "earlier");
    assert_receives(s.fd, "earlier");
    send_to(&s, w->path, "unread");
    assert_patience(w);
    assert_receives(nic_fd(w->nic), "unread"); // its driver is there
    send_text(nic_fd(w->nic), "frame");
    assert_receives(s.fd, "frame");
    assert_patience(w);
    close(s.fd);
}

static void a_dead_leftover_is_replaced(void **state)
{
    struct world *w = *state;
    close(receiver(w->path));
    start_nic(w);
    struct plain s = start(w, "net");
    send_to(&s, w->path, "frame");
    assert_receives(nic_fd(w->nic), "frame");
    close(s.fd);
}

static void a_live_socket_of_another_is_left_alone(void **state)
{
    struct world *w = *state;
    int other = receiver(w->path);
    ino_t before = inode(w->path);
    start_nic(w);
    assert_true(inode(w->path) == before);
    struct plain s = start(w, "net");
    nic_attach(w->nic, s.path, NULL, NULL);
    char path[100];
    snprintf(path, sizeof path, "%s/%s.nic", w->dir->path, w->id);
    send_to(&s, path, "answer");
    assert_receives(nic_fd(w->nic), "answer");
    assert_nothing(other);
    nic_free(w->nic);
    w->nic = NULL;
    assert_true(inode(w->path) == before);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(unlink(w->path), 0);
    close(other);
    close(s.fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world_with_nic, free_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_has_a_private_socket),
        TEST(a_server_that_is_there_is_used_at_once),
        TEST(a_server_may_come_later),
        TEST(a_server_that_goes_pulls_the_cable),
        TEST(a_name_that_goes_pulls_the_cable),
        TEST(a_quick_restart_is_noticed),
        TEST(a_new_server_of_that_name_is_used),
        TEST(what_a_hung_server_has_not_read_holds_up_no_other),
        TEST(it_moves_to_another_server),
        TEST(it_moves_to_a_server_to_come),
        TEST(detaching_pulls_the_cable),
        TEST(while_held_it_is_unconnected),
        TEST(a_deaf_nic_gets_a_new_socket),
        TEST(a_silent_guest_is_not_deaf),
        cmocka_unit_test_setup_teardown(a_dead_leftover_is_replaced, make_world, free_world),
        cmocka_unit_test_setup_teardown(a_live_socket_of_another_is_left_alone, make_world,
                                        free_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
