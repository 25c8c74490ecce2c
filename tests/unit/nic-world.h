// A socket NIC in an event loop, and servers for it, in a private directory.
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem.h"
#include "host/nic.h"
#include "loop.h"
#include "proto/unix.h"
#include "tempdir.h"

enum { LOOK_MS = 20 };

struct world {
    struct tempdir *dir;
    struct event_base *base;
    struct store store;
    struct nic *nic;
    char id[32];
    char path[64]; // of the NIC
    int ups, downs;
    int sockets; // how often the engine was given another
    int socket;
    int ups_before; // it was given the last one
};

static inline void world_link(void *arg, bool up)
{
    struct world *w = arg;
    if (up)
        w->ups++;
    else
        w->downs++;
}

static inline void world_socket(void *arg)
{
    struct world *w = arg;
    w->sockets++;
    w->socket = nic_fd(w->nic);
    w->ups_before = w->ups;
}

static inline void start_nic(struct world *w)
{
    struct err e;
    const struct mac mac = {{0x52, 0xcc, 0xcc, 0xcc, 0xcc, 0x07}};
    const struct nic_hooks hooks = {
        .link = world_link, .socket = world_socket, .arg = w, .look_ms = LOOK_MS};
    w->nic = nic_new(w->base, &w->store, w->id, mac, -1, &hooks, &e);
    assert_non_null(w->nic);
}

// No NIC yet. Its id is the directory's random name: the NIC's path is in /tmp.
static inline int make_world(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    if (tempdir_make((void **)&w->dir) < 0)
        return -1;
    w->base = event_base_new();
    w->store.runtime = w->dir->path;
    snprintf(w->id, sizeof w->id, "%s", strrchr(w->dir->path, '/') + 1);
    snprintf(w->path, sizeof w->path, "/tmp/qemu-dgram-%s.sock", w->id);
    *state = w;
    return 0;
}

static inline int make_world_with_nic(void **state)
{
    if (make_world(state) < 0)
        return -1;
    start_nic(*state);
    return 0;
}

static inline int free_world(void **state)
{
    struct world *w = *state;
    nic_free(w->nic);
    event_base_free(w->base);
    int left = access(w->path, F_OK) == 0;
    int result = tempdir_remove((void **)&w->dir);
    free(w);
    return left || result;
}

struct plain {
    int fd;
    char path[100];
};

static inline int receiver(const char *path)
{
    struct sockaddr_un addr;
    struct err e;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    unlink(path);
    assert_int_equal(unix_address(path, &addr, &e), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

static inline struct plain start(const struct world *w, const char *name)
{
    struct plain s;
    snprintf(s.path, sizeof s.path, "%s/%s", w->dir->path, name);
    s.fd = receiver(s.path);
    return s;
}

static inline void assert_receives(int fd, const char *want)
{
    char got[100] = "";
    ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
    assert_int_equal(n, strlen(want));
    assert_string_equal(got, want);
}

static inline void assert_nothing(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static inline void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_DONTWAIT), strlen(text));
}

static inline void send_to(const struct plain *s, const char *path, const char *text)
{
    struct sockaddr_un addr;
    struct err e;
    assert_int_equal(unix_address(path, &addr, &e), 0);
    assert_int_equal(
        sendto(s->fd, text, strlen(text), MSG_DONTWAIT, (struct sockaddr *)&addr, sizeof addr),
        strlen(text));
}

static inline json_int_t reconnects(const struct world *w)
{
    json_t *status = nic_status(w->nic);
    json_int_t n = json_integer_value(json_object_get(status, "reconnects"));
    json_decref(status);
    return n;
}

static inline ino_t inode(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

// Whether the engine has another socket, after one more frame from the guest to `server`.
static inline bool is_replaced_while_it_sends(const struct world *w, int server)
{
    char frame[16];
    send(nic_fd(w->nic), "frame", 5, MSG_DONTWAIT);
    while (recv(server, frame, sizeof frame, MSG_DONTWAIT) > 0)
        continue;
    return w->sockets > 0;
}

// Many looks at a guest that reads nothing and says nothing.
static inline void assert_patience(struct world *w)
{
    const struct timeval long_enough = {.tv_usec = 15 * LOOK_MS * 1000};
    event_base_loopexit(w->base, &long_enough);
    event_base_dispatch(w->base);
    assert_int_equal(w->sockets, 0);
}
