// The vsock device: its connections, and what a hostile engine or guest may do to it.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "host/vsock-links.h"
#include "host/vsock.h"
#include "loop.h"
#include "tempdir.h"
#include "vsock-guest.h"

enum { GUEST_PORT = 4000, PORT = 51009, SERVED = 80, WINDOW = 1 << 20 };

struct world {
    struct tempdir *dir;
    struct event_base *base;
    char *path;
    struct vsock *vsock;
    struct fake_guest g;
    int listener; // of SERVED
};

static int make(void **state)
{
    struct err e;
    struct world *w = xcalloc(1, sizeof *w);
    if (tempdir_make((void **)&w->dir) < 0)
        return -1;
    w->base = event_base_new();
    w->path = xasprintf("%s/a.vsock", w->dir->path);
    struct vsock_options options = {
        .path = w->path, .cid = VSOCK_USUAL_CID, .port = PORT, .address = "wait\n"};
    AUTO_FREE char *served = xasprintf("%s_%d", w->path, SERVED);
    w->listener = unix_listen(served, &e);
    w->vsock = vsock_new(w->base, &options, &e);
    fake_open(&w->g, w->base, vsock_renew(w->vsock, &e));
    *state = w;
    return 0;
}

static int unmake(void **state)
{
    struct world *w = *state;
    vsock_free(w->vsock);
    fake_close(&w->g);
    close(w->listener);
    event_base_free(w->base);
    tempdir_remove((void **)&w->dir);
    free(w->path);
    free(w);
    return 0;
}

// A guest whose driver runs, and which refused the connection to its PORT: it comes again later.
static struct world *begin(void **state)
{
    struct world *w = *state;
    static struct packet p;
    fake_start(&w->g);
    assert_true(fake_receive(&w->g, &p));
    assert_int_equal(p.h.op, VSOCK_REQUEST);
    assert_int_equal(p.h.dst_port, PORT);
    fake_send(&w->g,
              (struct vsock_header){.src_port = PORT, .dst_port = p.h.src_port, .op = VSOCK_RST});
    assert_false(fake_receive(&w->g, &p));
    return w;
}

static struct vsock_header header(enum vsock_op op)
{
    return (struct vsock_header){
        .src_port = GUEST_PORT, .dst_port = SERVED, .op = op, .buf_alloc = WINDOW};
}

static struct packet *next(struct world *w)
{
    static struct packet p;
    if (!fake_receive(&w->g, &p))
        fail_msg("the guest hears nothing");
    assert_int_equal(p.h.src_cid, VSOCK_HOST_CID);
    return &p;
}

static void expect(struct world *w, enum vsock_op op)
{
    assert_int_equal(next(w)->h.op, op);
}

static void expect_nothing(struct world *w)
{
    static struct packet p;
    assert_false(fake_receive(&w->g, &p));
}

// The guest connects to SERVED; the program's socket.
static int connect_guest(struct world *w)
{
    fake_send(&w->g, header(VSOCK_REQUEST));
    const struct packet *p = next(w);
    assert_int_equal(p->h.op, VSOCK_RESPONSE);
    assert_int_equal(p->h.src_port, SERVED);
    assert_int_equal(p->h.dst_port, GUEST_PORT);
    assert_int_equal(p->h.buf_alloc, VSOCK_WINDOW);
    int fd = accept(w->listener, NULL, NULL);
    assert_true(fd >= 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

// --- connections ---

static void data_goes_both_ways(void **state)
{
    struct world *w = begin(state);
    AUTO_CLOSE int fd = connect_guest(w);
    char text[8];
    fake_send_data(&w->g, header(VSOCK_RW), "hello", 5);
    assert_int_equal(recv(fd, text, sizeof text, 0), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(send(fd, "world!", 6, 0), 6);
    const struct packet *p = next(w);
    assert_int_equal(p->h.op, VSOCK_RW);
    assert_int_equal(p->h.len, 6);
    assert_int_equal(p->h.fwd_cnt, 5);
    assert_memory_equal(p->data, "world!", 6);
    expect_nothing(w);
}

static void the_guest_may_end_one_way(void **state)
{
    struct world *w = begin(state);
    AUTO_CLOSE int fd = connect_guest(w);
    char byte;
    struct vsock_header h = header(VSOCK_SHUTDOWN);
    h.flags = VSOCK_NO_SEND;
    fake_send(&w->g, h);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    assert_int_equal(send(fd, "more", 4, 0), 4);
    expect(w, VSOCK_RW);
    h.flags = VSOCK_CLOSED;
    fake_send(&w->g, h);
    expect(w, VSOCK_RST);
    expect_nothing(w);
    assert_int_equal(send(fd, "more", 4, MSG_NOSIGNAL), -1);
}

static void the_program_may_end_one_way(void **state)
{
    struct world *w = begin(state);
    AUTO_CLOSE int fd = connect_guest(w);
    char text[8];
    assert_int_equal(send(fd, "last", 4, 0), 4);
    shutdown(fd, SHUT_WR);
    expect(w, VSOCK_RW);
    const struct packet *p = next(w);
    assert_int_equal(p->h.op, VSOCK_SHUTDOWN);
    assert_int_equal(p->h.flags, VSOCK_NO_SEND);
    fake_send_data(&w->g, header(VSOCK_RW), "answer", 6);
    assert_int_equal(recv(fd, text, sizeof text, 0), 6);
}

static void a_program_that_closes_closes(void **state)
{
    struct world *w = begin(state);
    int fd = connect_guest(w);
    assert_int_equal(send(fd, "last", 4, 0), 4);
    close(fd);
    expect(w, VSOCK_RW);
    const struct packet *p = next(w);
    assert_int_equal(p->h.op, VSOCK_SHUTDOWN);
    assert_int_equal(p->h.flags, VSOCK_CLOSED);
    fake_send(&w->g, header(VSOCK_RST));
    expect_nothing(w);
    connect_guest(w); // the port is free again
}

static void what_was_sent_before_a_close_arrives(void **state)
{
    struct world *w = begin(state);
    AUTO_CLOSE int fd = connect_guest(w);
    int size = 4096; // less than the window
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    AUTO_FREE char *data = xcalloc(1, VSOCK_WINDOW);
    struct vsock_header h = header(VSOCK_SHUTDOWN);
    h.flags = VSOCK_CLOSED;
    fake_send_data(&w->g, header(VSOCK_RW), data, 60000);
    fake_send_data(&w->g, header(VSOCK_RW), data, 60000);
    fake_send(&w->g, h);
    size_t got = 0;
    ssize_t n;
    do {
        n = recv(fd, data, VSOCK_WINDOW, 0);
        got += n > 0 ? (size_t)n : 0;
        fake_run(&w->g);
    } while (n > 0 || got < 120000);
    assert_int_equal(n, 0);
    assert_int_equal(got, 120000);
}

// Fills the program's socket and then the window; what went.
static size_t fill(struct world *w, uint32_t *told)
{
    static char data[16384];
    static struct packet p;
    size_t sent = 0;
    do {
        while (fake_receive(&w->g, &p))
            *told = p.h.fwd_cnt;
        if (sent - *told + sizeof data > VSOCK_WINDOW)
            return sent;
        fake_send_data(&w->g, header(VSOCK_RW), data, sizeof data);
        sent += sizeof data;
    } while (true);
}

static void a_program_that_does_not_read_stops_the_guest_alone(void **state)
{
    struct world *w = begin(state);
    AUTO_CLOSE int fd = connect_guest(w);
    AUTO_FREE char *data = xcalloc(1, 1 << 20);
    uint32_t told = 0;
    size_t sent = fill(w, &told);
    assert_true(sent - told > VSOCK_WINDOW - 16384);
    expect_nothing(w);
    while (recv(fd, data, 1 << 20, 0) > 0)
        fake_run(&w->g);
    const struct packet *p = next(w);
    assert_int_equal(p->h.op, VSOCK_CREDIT_UPDATE);
    assert_true(p->h.fwd_cnt > told);
}

static void more_than_the_credit_is_a_reset(void **state)
{
    struct world *w = begin(state);
    AUTO_CLOSE int fd = connect_guest(w);
    static char data[60000];
    uint32_t told = 0;
    fill(w, &told);
    for (int i = 0; i < 3; i++)
        fake_send_data(&w->g, header(VSOCK_RW), data, sizeof data);
    expect(w, VSOCK_RST);
}

static void the_guests_credit_is_kept(void **state)
{
    struct world *w = begin(state);
    struct vsock_header h = header(VSOCK_REQUEST);
    h.buf_alloc = 1000;
    fake_send(&w->g, h);
    expect(w, VSOCK_RESPONSE);
    AUTO_CLOSE int fd = accept(w->listener, NULL, NULL);
    static char data[5000];
    assert_int_equal(send(fd, data, sizeof data, 0), sizeof data);
    assert_int_equal(next(w)->h.len, 1000);
    expect(w, VSOCK_CREDIT_REQUEST);
    expect_nothing(w);
    h = header(VSOCK_CREDIT_UPDATE);
    h.buf_alloc = 3000;
    h.fwd_cnt = 500;
    fake_send(&w->g, h);
    assert_int_equal(next(w)->h.len, 2500);
    h.fwd_cnt = 3500;
    h.op = VSOCK_CREDIT_REQUEST; // tells and asks
    fake_send(&w->g, h);
    size_t got = 0;
    for (int i = 0; i < 4 && got < 1500; i++)
        got += next(w)->h.len;
    assert_int_equal(got, 1500);
}

static void what_belongs_to_no_connection_is_reset(void **state)
{
    static const struct vsock_header headers[] = {
        {.op = VSOCK_RW, .dst_port = SERVED},
        {.op = VSOCK_RESPONSE, .dst_port = SERVED},
        {.op = VSOCK_SHUTDOWN, .dst_port = SERVED},
        {.op = VSOCK_CREDIT_UPDATE, .dst_port = SERVED},
        {.op = 77, .dst_port = SERVED},
        {.op = VSOCK_REQUEST, .dst_port = 1},                    // nobody there
        {.op = VSOCK_REQUEST, .dst_port = SERVED, .type = 2},    // SEQPACKET
        {.op = VSOCK_REQUEST, .dst_port = SERVED, .dst_cid = 7}, // another machine
    };
    struct world *w = begin(state);
    static struct packet p;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct vsock_header h = headers[i];
        h.src_port = GUEST_PORT;
        fake_send(&w->g, h);
        assert_true(fake_receive(&w->g, &p));
        assert_int_equal(p.h.op, VSOCK_RST);
        assert_int_equal(p.h.src_cid, h.dst_cid ? h.dst_cid : VSOCK_HOST_CID);
        assert_int_equal(p.h.src_port, h.dst_port);
        assert_int_equal(p.h.dst_port, GUEST_PORT);
        expect_nothing(w);
    }
    struct vsock_header h = header(VSOCK_RST);
    fake_send(&w->g, h);
    h.op = VSOCK_REQUEST;
    h.src_cid = 9; // not its own
    fake_send(&w->g, h);
    expect_nothing(w);
}

static void what_a_connection_cannot_take_resets_it(void **state)
{
    static const int ops[] = {VSOCK_REQUEST, VSOCK_RESPONSE, 0, 77};
    struct world *w = begin(state);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        AUTO_CLOSE int fd = connect_guest(w);
        char byte;
        fake_send(&w->g, header((enum vsock_op)ops[i]));
        expect(w, VSOCK_RST);
        expect_nothing(w);
        assert_int_equal(recv(fd, &byte, 1, 0), 0);
    }
}

static void the_guest_learns_its_address(void **state)
{
    struct world *w = begin(state);
    struct vsock_header h = header(VSOCK_REQUEST);
    h.dst_port = VSOCK_ADDRESS_PORT;
    fake_send(&w->g, h);
    expect(w, VSOCK_RESPONSE);
    const struct packet *p = next(w);
    assert_int_equal(p->h.op, VSOCK_RW);
    assert_memory_equal(p->data, "wait\n", 5);
    p = next(w);
    assert_int_equal(p->h.op, VSOCK_SHUTDOWN);
    assert_int_equal(p->h.flags, VSOCK_NO_SEND);
}

// --- programs connect ---

static int call(struct world *w, const char *line)
{
    struct err e;
    int fd = unix_connect(w->path, NULL, &e);
    assert_true(fd >= 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    assert_int_equal(send(fd, line, strlen(line), 0), strlen(line));
    fake_run(&w->g);
    return fd;
}

static void a_program_connects(void **state)
{
    struct world *w = begin(state);
    AUTO_CLOSE int fd = call(w, "CONNECT 70\nfirst");
    char text[64];
    char want[64];
    const struct packet *p = next(w);
    assert_int_equal(p->h.op, VSOCK_REQUEST);
    assert_int_equal(p->h.dst_port, 70);
    struct vsock_header h = {
        .src_port = 70, .dst_port = p->h.src_port, .op = VSOCK_RESPONSE, .buf_alloc = WINDOW};
    int n = snprintf(want, sizeof want, "OK %u\n", p->h.src_port);
    fake_send(&w->g, h);
    assert_int_equal(recv(fd, text, sizeof text, 0), n);
    assert_memory_equal(text, want, (size_t)n);
    p = next(w);
    assert_int_equal(p->h.len, 5);
    assert_memory_equal(p->data, "first", 5);
}

static void a_program_is_refused(void **state)
{
    struct world *w = begin(state);
    AUTO_CLOSE int fd = call(w, "CONNECT 70\n");
    char byte;
    struct vsock_header h = {.src_port = 70, .dst_port = next(w)->h.src_port, .op = VSOCK_RST};
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    fake_send(&w->g, h);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static void a_line_may_come_in_pieces(void **state)
{
    struct world *w = begin(state);
    AUTO_CLOSE int fd = call(w, "CONN");
    expect_nothing(w);
    assert_int_equal(send(fd, "ECT 9", 5, 0), 5);
    expect_nothing(w);
    assert_int_equal(send(fd, "1\n", 2, 0), 2);
    assert_int_equal(next(w)->h.dst_port, 91);
}

static void the_port_is_tried_until_somebody_listens(void **state)
{
    struct world *w = begin(state);
    static struct packet p;
    for (int i = 0; i < 2; i++) {
        LOOP_UNTIL(w->base, fake_receive(&w->g, &p));
        assert_int_equal(p.h.op, VSOCK_REQUEST);
        assert_int_equal(p.h.dst_port, PORT);
        fake_send(&w->g, (struct vsock_header){.src_port = PORT,
                                               .dst_port = p.h.src_port,
                                               .op = i == 0 ? VSOCK_RST : VSOCK_RESPONSE});
    }
    json_t *status = vsock_status(w->vsock);
    assert_true(json_is_true(json_object_get(status, "connected")));
    assert_int_equal(json_integer_value(json_object_get(status, "connections")), 1);
    json_decref(status);
}

// --- the device starts anew ---

static void a_new_driver_knows_no_connection(void **state)
{
    struct world *w = begin(state);
    AUTO_CLOSE int fd = connect_guest(w);
    char byte;
    fake_stop(&w->g);
    fake_start(&w->g);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    AUTO_CLOSE int again = connect_guest(w);
}

static void a_pause_ends_nothing(void **state)
{
    struct world *w = begin(state);
    AUTO_CLOSE int fd = connect_guest(w);
    fake_stop(&w->g);
    assert_int_equal(send(fd, "meanwhile", 9, 0), 9);
    fake_run(&w->g);
    fake_set_memory(&w->g, MEMORY);
    // The engine goes on where the device was: fake_start_ring() tells what was offered; of RX
    // less is used.
    uint16_t offered = w->g.avail[RX];
    w->g.avail[RX] = w->g.used[RX];
    fake_start_ring(&w->g, RX);
    w->g.avail[RX] = offered;
    fake_start_ring(&w->g, TX);
    assert_int_equal(next(w)->h.len, 9);
}

static void a_new_device_begins_without_connections(void **state)
{
    struct err e;
    struct world *w = begin(state);
    AUTO_CLOSE int fd = connect_guest(w);
    char byte;
    close(w->g.engine);
    w->g.engine = vsock_renew(w->vsock, &e);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    fake_start(&w->g);
    fake_send(&w->g, header(VSOCK_RW));
    expect(w, VSOCK_RST);
}

static void a_program_may_be_there_before_the_guest(void **state)
{
    struct world *w = *state;
    AUTO_CLOSE int fd = call(w, "CONNECT 70\n");
    fake_start(&w->g);
    assert_int_equal(next(w)->h.dst_port, PORT);
    assert_int_equal(next(w)->h.dst_port, 70);
}

// --- a hostile engine ---

static void the_engine_is_told_what_there_is(void **state)
{
    struct world *w = *state;
    uint64_t number = 0;
    struct {
        uint32_t offset, size, flags;
        uint64_t cid;
    } __attribute__((packed)) config = {0, 8, 0, 0};
    fake_message_size(&w->g, 1, "", 0, -1);
    assert_int_equal(fake_answer(&w->g, 1, &number, 8), 8);
    assert_true(number == (1ULL << 32 | 1ULL << 30));
    fake_message_size(&w->g, 15, "", 0, -1);
    assert_int_equal(fake_answer(&w->g, 15, &number, 8), 8);
    assert_true(number == 1ULL << 9);
    fake_message(&w->g, 24, config, -1);
    assert_int_equal(fake_answer(&w->g, 24, &config, sizeof config), sizeof config);
    assert_int_equal(config.cid, 3);
    config.offset = 4;
    fake_message(&w->g, 24, config, -1);
    assert_int_equal(fake_answer(&w->g, 24, &config, sizeof config), 0);
}

static void messages_that_cannot_be_are_hung_up_on(void **state)
{
    static const struct {
        uint32_t request, size;
        uint32_t word[4];
    } messages[] = {
        {99, 0, {0}},        {0, 0, {0}},     {2, 4, {0}},        {5, 8, {9}},      {5, 8, {1}},
        {5, 40, {1}},        {8, 8, {2, 16}}, {8, 8, {0, 70000}}, {9, 8, {0}},      {9, 40, {2}},
        {10, 8, {0, 70000}}, {11, 8, {5}},    {12, 8, {0}},       {12, 8, {0x100}}, {13, 8, {0}},
        {13, 8, {7}},        {18, 8, {2, 1}}, {2, 513, {0}},      {24, 4, {0}},
    };
    struct err e;
    struct world *w = *state;
    static char payload[4096];
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        memcpy(payload, messages[i].word, sizeof messages[i].word);
        fake_message_size(&w->g, messages[i].request, payload, messages[i].size, -1);
        if (!fake_hung_up(&w->g))
            fail_msg("message %u was taken", messages[i].request);
        close(w->g.engine);
        w->g.engine = vsock_renew(w->vsock, &e);
    }
    begin(state);
}

static void memory_that_is_not_there_is_refused(void **state)
{
    struct world *w = *state;
    fake_set_memory(&w->g, MEMORY + 1);
    assert_true(fake_hung_up(&w->g));
}

static void rings_outside_of_memory_are_left_alone(void **state)
{
    static const struct {
        uint32_t size;
        uint64_t user;
    } rings[] = {{RING_BUFFERS, 0},
                 {RING_BUFFERS, USER_AT + MEMORY - 0x1000},
                 {RING_BUFFERS, USER_AT + 1},
                 {RING_BUFFERS, UINT64_MAX - 100},
                 {0, USER_AT},
                 {12, USER_AT}};
    struct world *w = begin(state);
    for (size_t i = 0; i < sizeof rings / sizeof *rings; i++) {
        fake_stop(&w->g);
        fake_set_ring(&w->g, TX, rings[i].size, rings[i].user);
        fake_send(&w->g, header(VSOCK_REQUEST));
    }
    fake_stop(&w->g);
    fake_start(&w->g);
    AUTO_CLOSE int fd = connect_guest(w);
}

// --- a hostile guest ---

static void break_desc(struct world *w, int i)
{
    struct desc *d = fake_desc(&w->g, TX);
    uint16_t *avail = fake_avail(&w->g, TX);
    static const struct desc bad[] = {
        {GUEST_AT, 44, 1, 0},              // a circle
        {GUEST_AT, 44, 1, 500},            // no such descriptor
        {GUEST_AT, 44, 2, 0},              // to be written
        {GUEST_AT, 44, 4, 0},              // indirect, which was not offered
        {0, 44, 0, 0},                     // no memory there
        {GUEST_AT + MEMORY - 8, 44, 0, 0}, // nor there
        {GUEST_AT, UINT32_MAX, 0, 0},      // nor so much
        {UINT64_MAX - 8, 44, 0, 0},        // around the end
    };
    if (i < (int)(sizeof bad / sizeof *bad))
        d[0] = bad[i];
    avail[2] = i == 8 ? 900 : 0; // no such head
    avail[1] = i == 9 ? 900 : 1; // more than there can be
}

static void a_ring_that_makes_no_sense_is_left_alone(void **state)
{
    struct world *w = begin(state);
    for (int i = 0; i < 10; i++) {
        fake_stop(&w->g);
        fake_start(&w->g);
        break_desc(w, i);
        fake_kick(&w->g, TX);
        assert_int_equal(fake_used(&w->g, TX)[1], 0); // nothing is given back
    }
    fake_stop(&w->g);
    fake_start(&w->g);
    AUTO_CLOSE int fd = connect_guest(w);
}

static void packets_that_are_none_are_ignored(void **state)
{
    struct world *w = begin(state);
    AUTO_CLOSE int fd = connect_guest(w);
    char text[8];
    struct vsock_header h = header(VSOCK_RW);
    h.len = 6; // of 5
    fake_send_data(&w->g, h, "hello", 5);
    h.len = UINT32_MAX;
    fake_send_data(&w->g, h, "hello", 5);
    fake_offer(&w->g, TX, 0);
    fake_desc(&w->g, TX)[2 * ((w->g.avail[TX] - 1) % (RING_BUFFERS / 2))].len = 43;
    fake_kick(&w->g, TX);
    assert_int_equal(recv(fd, text, sizeof text, 0), -1);
    h.len = 4; // less than there is
    fake_send_data(&w->g, h, "hello", 5);
    assert_int_equal(recv(fd, text, sizeof text, 0), 4);
}

static void buffers_without_room_get_nothing(void **state)
{
    struct world *w = *state;
    fake_start(&w->g);
    fake_stop(&w->g);
    memset(w->g.memory, 0, 2 * RING_SPACE);
    w->g.avail[RX] = w->g.avail[TX] = w->g.used[RX] = 0;
    fake_start_ring(&w->g, RX);
    fake_offer(&w->g, RX, 0);
    fake_kick(&w->g, RX);
    assert_int_equal(fake_used(&w->g, RX)[1], 0);
}

// No buffers for answers: the guest's packets wait, and then all is answered.
static void answers_that_cannot_be_given_hold_up_the_guest(void **state)
{
    struct world *w = begin(state);
    int answers = 0;
    static struct packet p;
    uint16_t *used = fake_used(&w->g, TX);
    uint16_t before = used[1];
    uint16_t offered = w->g.avail[RX];
    fake_avail(&w->g, RX)[1] = w->g.used[RX]; // takes back what it offered
    int sent = 0;
    for (; (uint16_t)(w->g.avail[TX] - used[1]) < RING_BUFFERS / 2 && sent < 1000; sent++)
        fake_send(&w->g, header(VSOCK_RW));
    assert_true(sent < 1000);
    assert_true((uint16_t)(used[1] - before) < 200);
    fake_avail(&w->g, RX)[1] = offered;
    fake_kick(&w->g, RX);
    while (fake_receive(&w->g, &p))
        answers += p.h.op == VSOCK_RST;
    assert_int_equal(answers, sent);
}

static void connections_have_a_limit(void **state)
{
    struct world *w = begin(state);
    struct vsock_header h = header(VSOCK_REQUEST);
    h.dst_port = VSOCK_ADDRESS_PORT;
    int opened = 0;
    int refused = 0;
    static struct packet p;
    for (uint32_t i = 1; i <= VSOCK_LINKS_MAX + 10 && refused == 0; i++) {
        h.src_port = i;
        fake_send(&w->g, h);
        while (fake_receive(&w->g, &p)) {
            opened += p.h.op == VSOCK_RESPONSE;
            refused += p.h.op == VSOCK_RST;
        }
    }
    assert_true(refused > 0); // by the limit, or by this process's files
    assert_true(opened <= VSOCK_LINKS_MAX && opened > 100);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    const struct CMUnitTest tests[] = {
        T(data_goes_both_ways),
        T(the_guest_may_end_one_way),
        T(the_program_may_end_one_way),
        T(a_program_that_closes_closes),
        T(what_was_sent_before_a_close_arrives),
        T(a_program_that_does_not_read_stops_the_guest_alone),
        T(more_than_the_credit_is_a_reset),
        T(the_guests_credit_is_kept),
        T(what_belongs_to_no_connection_is_reset),
        T(what_a_connection_cannot_take_resets_it),
        T(the_guest_learns_its_address),
        T(a_program_connects),
        T(a_program_is_refused),
        T(a_line_may_come_in_pieces),
        T(the_port_is_tried_until_somebody_listens),
        T(a_new_driver_knows_no_connection),
        T(a_pause_ends_nothing),
        T(a_new_device_begins_without_connections),
        T(a_program_may_be_there_before_the_guest),
        T(the_engine_is_told_what_there_is),
        T(messages_that_cannot_be_are_hung_up_on),
        T(memory_that_is_not_there_is_refused),
        T(rings_outside_of_memory_are_left_alone),
        T(a_ring_that_makes_no_sense_is_left_alone),
        T(packets_that_are_none_are_ignored),
        T(buffers_without_room_get_nothing),
        T(answers_that_cannot_be_given_hold_up_the_guest),
        T(connections_have_a_limit),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("vsock", tests, NULL, NULL);
}
