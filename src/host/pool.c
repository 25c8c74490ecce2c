// Starting members, giving them away, and noticing that they end.
#include "host/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/spawn.h"
#include "proto/line.h"
#include "proto/server.h"
#include "proto/unix.h"
#include "vm/pool.h"

enum {
    MESSAGE_MAX = 64 << 10,
    LOG_MAX = 1 << 20,
    FAILED_MS = 2000, // after a start that failed
    FDS_MIN = 3,      // of a request: lock, pipe, log
};

struct member {
    LIST_ENTRY(member) entry;
    struct keeper *keeper;
    pid_t pid;
    int fd;
    struct event *word; // from it, or its end
    bool loaded;
    bool ending; // it was told to
    bool taken;  // and not ready yet: making the next one would slow it down
};

struct keeper {
    const struct pool_options *options;
    struct event_base *base;
    struct store store;
    struct vm vm; // locked shared
    int dir_fd, lock_fd, log_fd;
    struct server *control;
    struct event *signals[5];
    struct event *refill;
    LIST_HEAD(, member) members;
    int64_t size, taken;
    int notify_fd;
    bool draining;
    struct request *resizing;    // answered when it is full
    struct request *waiting[16]; // for the end
    int waiting_count;
    struct err failure; // of the last start
};

// --- members ---

static bool is_here(const struct member *m)
{
    return !m->ending && !m->taken;
}

static int64_t count(const struct keeper *k, bool loaded)
{
    const struct member *m;
    int64_t n = 0;
    LIST_FOREACH(m, &k->members, entry)
        n += is_here(m) && (m->loaded || !loaded);
    return n;
}

static bool is_busy(const struct keeper *k)
{
    const struct member *m;
    LIST_FOREACH(m, &k->members, entry)
        if (m->taken)
            return true;
    return false;
}

static json_t *status(const struct keeper *k)
{
    json_t *doc = json_pack("{s:s, s:I, s:I, s:I, s:b, s:i}", "base", k->options->id, "size",
                            (json_int_t)k->size, "ready", (json_int_t)count(k, true), "taken",
                            (json_int_t)k->taken, "vsock", k->options->vsock, "pid", (int)getpid());
    if (k->failure.code)
        json_object_set_new(doc, "note", json_string(k->failure.msg));
    return doc;
}

static void refill_after(struct keeper *k, int ms)
{
    event_add(k->refill, &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

static void member_free(struct member *m)
{
    LIST_REMOVE(m, entry);
    if (m->word)
        event_free(m->word);
    close(m->fd);
    free(m);
}

// It ends by itself when it hears nothing more; until then it counts.
static void let_go(struct member *m)
{
    m->ending = true;
    shutdown(m->fd, SHUT_WR);
}

static void say(struct keeper *k, json_t *answer)
{
    struct err e;
    AUTO_FREE char *line = line_text(answer);
    json_decref(answer);
    AUTO_CLOSE int fd = TAKE_FD(k->notify_fd);
    if (fd >= 0 && fd_write_all(fd, line, strlen(line), &e) < 0)
        log_line("who asked for this pool is gone");
}

static void end(struct keeper *k)
{
    struct member *next;
    k->draining = true;
    for (struct member *m = LIST_FIRST(&k->members); m; m = next) {
        next = LIST_NEXT(m, entry);
        if (m->taken)
            member_free(m);
        else
            let_go(m);
    }
    if (LIST_EMPTY(&k->members))
        event_base_loopbreak(k->base);
}

// Who waits for a full pool is told that it is, or why it will not be.
static void tell(struct keeper *k, const struct err *why)
{
    if (k->notify_fd >= 0)
        say(k, why ? line_answer_error(NULL, why) : line_answer_ok(NULL, status(k)));
    struct request *rq = TAKE_PTR(k->resizing);
    if (rq && why)
        request_error(rq, why);
    else if (rq)
        request_ok(rq, status(k));
}

static void on_ended(struct member *m, const struct err *why)
{
    struct keeper *k = m->keeper;
    bool failed = !m->loaded && is_here(m);
    member_free(m);
    if (k->draining && LIST_EMPTY(&k->members))
        event_base_loopbreak(k->base);
    if (k->draining)
        return;
    if (failed) {
        k->failure = *why;
        log_line("%s", why->msg);
        bool first = k->notify_fd >= 0;
        tell(k, why);
        if (first) { // nobody has the pool yet
            end(k);
            return;
        }
    }
    refill_after(k, failed ? FAILED_MS : 0);
}

static void on_word(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct member *m = arg;
    struct keeper *k = m->keeper;
    struct err why;
    char text[MESSAGE_MAX];
    ssize_t n = recv(fd, text, sizeof text, 0);
    if (n <= 0) {
        err_set(&why, ERR_FAILED, "a fork in reserve ended");
        on_ended(m, &why);
        return;
    }
    json_t *answer = json_loadb(text, (size_t)n, 0, NULL);
    if (!line_unpack(answer, "reserve", &why)) {
        on_ended(m, &why);
    } else if (!m->ending) {
        m->loaded = true;
        k->failure.code = 0;
        refill_after(k, 0);
    }
    json_decref(answer);
}

static int member_argv(const struct keeper *k, int fd, struct argv *argv, struct err *e)
{
    char dir[4096];
    if (os_exe_dir(dir, sizeof dir) < 0)
        return err_sys(e, "cannot find the Host program");
    argv_add(argv, "%s/Host", dir);
    argv_add(argv, "reserve");
    argv_add(argv, "--home=%s", k->store.path);
    argv_add(argv, "--id=%s", k->options->id);
    argv_add(argv, "--notify-fd=%d", fd);
    if (k->options->vsock)
        argv_add(argv, "--vsock");
    return 0;
}

// A session of its own: it may become somebody's.
static int member_start(struct keeper *k, struct err *e)
{
    int ends[2];
    struct argv argv = {0};
    if (os_message_pair(ends) < 0)
        return err_sys(e, "cannot make a socket pair");
    AUTO_CLOSE int own = ends[0];
    AUTO_CLOSE int theirs = ends[1];
    if (member_argv(k, theirs, &argv, e) < 0)
        return -1;
    if (lseek(k->log_fd, 0, SEEK_END) > LOG_MAX && ftruncate(k->log_fd, 0) < 0)
        log_line("cannot cut the log: %s", strerror(errno));
    pid_t pid = spawn(&(struct spawn){.argv = argv.v,
                                      .in = -1,
                                      .out = k->log_fd,
                                      .err = k->log_fd,
                                      .keep = &theirs,
                                      .keep_count = 1,
                                      .cwd_fd = k->store.fd,
                                      .new_session = true},
                      e);
    argv_free(&argv);
    if (pid < 0)
        return -1;
    struct member *m = xcalloc(1, sizeof *m);
    *m = (struct member){.keeper = k, .pid = pid, .fd = TAKE_FD(own)};
    m->word = event_new(k->base, m->fd, EV_READ | EV_PERSIST, on_word, m);
    event_add(m->word, NULL);
    LIST_INSERT_HEAD(&k->members, m, entry);
    return 0;
}

// One at a time, and as long as there are others not while one that was taken comes up: who uses
// guests wants the processors, too.
static void on_refill(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct keeper *k = arg;
    struct member *m;
    struct err e;
    int64_t all = count(k, false);
    int64_t loaded = count(k, true);
    if (k->draining || (loaded > 0 && is_busy(k)))
        return;
    LIST_FOREACH(m, &k->members, entry)
        if (all > k->size && is_here(m)) {
            let_go(m);
            all--;
        }
    if (all == loaded && all < k->size && member_start(k, &e) < 0) {
        k->failure = e;
        log_line("%s", e.msg);
        refill_after(k, FAILED_MS);
    } else if (loaded >= k->size) {
        tell(k, NULL);
    }
}

// --- verbs ---

static void verb_status(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    request_ok(rq, status(arg));
}

// False: it has ended meanwhile.
static bool give(struct member *m, const char *id, bool hold, const int *fds, int n)
{
    json_t *words = json_pack("{s:s, s:b}", "id", id, "hold", hold);
    AUTO_FREE char *line = line_text(words);
    json_decref(words);
    return unix_send(m->fd, line, strlen(line), fds, n) == 0;
}

static pid_t give_one(struct keeper *k, const char *id, bool hold, const int *fds, int n)
{
    struct member *m;
    LIST_FOREACH(m, &k->members, entry)
        if (m->loaded && is_here(m) && give(m, id, hold, fds, n)) {
            m->taken = true;
            k->taken++;
            return m->pid;
        }
    return -1;
}

static void verb_take(void *arg, struct request *rq, const json_t *args)
{
    struct keeper *k = arg;
    struct err e;
    int fds[UNIX_FDS_MAX];
    int n = 0;
    while (n < UNIX_FDS_MAX && (fds[n] = request_take_fd(rq)) >= 0)
        n++;
    const char *id = json_string_value(json_object_get(args, "id"));
    bool vsock = json_is_true(json_object_get(args, "vsock"));
    bool hold = json_is_true(json_object_get(args, "hold"));
    pid_t pid = -1;
    if (!id || n < FDS_MIN) {
        err_set(&e, ERR_USAGE, "\"id\" or descriptors are missing");
    } else if (vsock != k->options->vsock || k->draining ||
               (pid = give_one(k, id, hold, fds, n)) < 0) {
        err_set(&e, ERR_BUSY, "the pool has no such fork");
    }
    for (int i = 0; i < n; i++)
        close(fds[i]);
    if (pid < 0) {
        request_error(rq, &e);
        return;
    }
    request_ok(rq, json_pack("{s:i}", "pid", (int)pid));
    refill_after(k, 0);
}

static void verb_size(void *arg, struct request *rq, const json_t *args)
{
    struct keeper *k = arg;
    struct err e;
    json_int_t size = json_integer_value(json_object_get(args, "size"));
    if (size < 1)
        err_set(&e, ERR_USAGE, "\"size\" is not a number above 0");
    else if (k->resizing || k->draining)
        err_set(&e, ERR_BUSY, "the pool is being changed");
    if (size < 1 || k->resizing || k->draining) {
        request_error(rq, &e);
        return;
    }
    k->size = size;
    k->resizing = rq;
    refill_after(k, 0);
}

// The answer comes when all are gone, and the VM and the pool's directory are free.
static void verb_drain(void *arg, struct request *rq, const json_t *args)
{
    (void)args;
    struct keeper *k = arg;
    struct err e;
    if (k->waiting_count < (int)(sizeof k->waiting / sizeof *k->waiting)) {
        k->waiting[k->waiting_count++] = rq;
        end(k);
        return;
    }
    err_set(&e, ERR_BUSY, "too many clients wait for the end of this pool");
    request_error(rq, &e);
}

static const struct verb pool_verbs[] = {
    {"status", verb_status}, {"take", verb_take}, {"size", verb_size}, {"drain", verb_drain}, {0}};

// --- the whole ---

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
    (void)what;
    if (sig != SIGCHLD) {
        end(arg);
        return;
    }
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ; // what it was is told by its socket; one that was taken is nobody's concern
}

static void watch_signals(struct keeper *k)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        k->signals[i] = evsignal_new(k->base, numbers[i], on_signal, k);
        event_add(k->signals[i], NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

static int open_parts(struct keeper *k, struct err *e)
{
    const char *id = k->options->id;
    AUTO_FREE char *path = NULL;
    if (store_open(&k->store, k->options->home, e) < 0 ||
        vm_open(&k->store, id, LOCK_SHARED, &k->vm, e) < 0 ||
        pool_make(&k->store, id, &k->dir_fd, &k->lock_fd, e) < 0 ||
        pool_path(&k->store, id, &path, e) < 0)
        return -1;
    k->log_fd = openat(k->dir_fd, "log", O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (k->log_fd < 0)
        return err_sys(e, "cannot open the pool's log");
    dup2(k->log_fd, STDERR_FILENO);
    json_t *hello = json_pack("{s:s, s:i, s:s}", "hello", "tailmac-pool", "version", 1, "id", id);
    k->control = server_new(k->base, path, hello, pool_verbs, k, e);
    return k->control ? 0 : -1;
}

static void close_parts(struct keeper *k)
{
    if (k->control)
        server_retire(k->control);
    if (k->lock_fd >= 0)
        pool_remove(&k->store, k->options->id);
    const int fds[] = {k->lock_fd, k->dir_fd, k->log_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    vm_close(&k->vm);
    struct err e;
    err_set(&e, ERR_NOT_RUNNING, "the pool has ended");
    tell(k, &e);
    for (int i = 0; i < k->waiting_count; i++)
        request_ok(k->waiting[i], NULL);
}

static void keeper_free(struct keeper *k)
{
    server_free(k->control);
    for (size_t i = 0; i < sizeof k->signals / sizeof *k->signals; i++)
        event_free(k->signals[i]);
    event_free(k->refill);
    store_close(&k->store);
    event_base_free(k->base);
    free(k);
}

int pool_run(struct pool_options *options, struct err *e)
{
    struct keeper *k = xcalloc(1, sizeof *k);
    *k = (struct keeper){.options = options,
                         .size = options->size,
                         .notify_fd = options->notify_fd,
                         .store.fd = -1,
                         .dir_fd = -1,
                         .lock_fd = -1,
                         .log_fd = -1};
    k->base = event_base_new();
    k->refill = evtimer_new(k->base, on_refill, k);
    watch_signals(k);
    int result = open_parts(k, e);
    if (result == 0) {
        refill_after(k, 0);
        event_base_dispatch(k->base);
    } else {
        tell(k, e);
    }
    close_parts(k);
    keeper_free(k);
    return result;
}
