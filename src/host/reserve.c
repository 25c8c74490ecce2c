// From a fork in reserve to somebody's.
#include "host/reserve.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/fork.h"
#include "host/run.h"
#include "proto/datagram.h"
#include "proto/fds.h"
#include "proto/line.h"

enum { MESSAGE_MAX = 4096, REHEARSAL_SECONDS = 30 };

struct reserve {
    struct event *word; // from the keeper
    struct event *late; // it takes too long
    int console_fd, agent_fd, nic_fd;
    bool rests;
};

static int unpack(struct host_options *o, const char *text, size_t n, struct fds *fds,
                  struct err *e)
{
    const char *id = NULL;
    int hold = 0;
    json_t *words = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    int wrong = json_unpack(words, "{s:s, s:b}", "id", &id, "hold", &hold);
    if (wrong == 0 && fds->count >= 3) {
        o->id = xstrdup(id); // the process's from now on
        o->hold = hold;
        o->lock_fd = fds_take(fds);
        o->notify_fd = fds_take(fds);
        int log = fds_take(fds);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        close(log);
        o->tie_fd = fds_take(fds);
    }
    json_decref(words);
    return o->lock_fd >= 0 ? 0 : err_set(e, ERR_FAILED, "its pool said nothing that makes sense");
}

// What it was ends here; the fork goes on in its place.
static void give(struct host *h)
{
    struct reserve *r = TAKE_PTR(h->reserve);
    struct err e;
    if (boot_claimed(h, TAKE_FD(r->console_fd), TAKE_FD(r->agent_fd), TAKE_FD(r->nic_fd), &e) < 0)
        boot_failed(h, &e);
    reserve_free(r);
}

static void on_word(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct host *h = arg;
    struct fds fds = {0};
    struct err e;
    char text[MESSAGE_MAX];
    ssize_t n = fds_receive(fd, text, sizeof text, &fds);
    if (n <= 0 || !h->reserve->rests || h->state == ST_STOPPING) {
        event_del(h->reserve->word);
        host_halt(h, "its pool has ended");
    } else if (unpack(h->options, text, (size_t)n, &fds, &e) < 0) {
        boot_failed(h, &e);
    } else {
        event_free(TAKE_PTR(h->reserve->word));
        h->options->keeper_fd = fd;
        give(h);
    }
    fds_close(&fds);
}

int reserve_open(struct host *h, struct err *e)
{
    struct reserve *r = h->reserve = xcalloc(1, sizeof *r);
    r->console_fd = r->agent_fd = -1;
    r->nic_fd = datagram_socket();
    if (r->nic_fd < 0)
        return err_sys(e, "cannot make the NIC's socket");
    r->word = event_new(h->base, h->options->notify_fd, EV_READ | EV_PERSIST, on_word, h);
    event_add(r->word, NULL);
    return fork_reserve(h, e);
}

void reserve_free(struct reserve *r)
{
    if (!r)
        return;
    const int fds[] = {r->console_fd, r->agent_fd, r->nic_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (r->word)
        event_free(r->word);
    if (r->late)
        event_free(r->late);
    free(r);
}

void reserve_keep(struct reserve *r, int console_fd, int agent_fd)
{
    r->console_fd = console_fd;
    r->agent_fd = agent_fd;
}

int reserve_nic(const struct reserve *r)
{
    return r->nic_fd;
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct err e;
    err_set(&e, ERR_FAILED, "the guest's agent does not give it an identity");
    boot_failed(arg, &e);
}

void reserve_loaded(struct host *h)
{
    struct reserve *r = h->reserve;
    struct err e;
    if (!h->agent_expected) { // nobody there to be given anything
        reserve_rests(h);
        return;
    }
    r->late = evtimer_new(h->base, on_late, h);
    event_add(r->late, &(struct timeval){.tv_sec = REHEARSAL_SECONDS});
    host_open_agent(h, fcntl(r->agent_fd, F_DUPFD_CLOEXEC, 0));
    if (fork_rehearse(h, &e) < 0)
        boot_failed(h, &e);
}

bool reserve_event(enum engine_event what)
{
    return what == ENGINE_RUNNING || what == ENGINE_PAUSED || what == ENGINE_EXITED;
}

void reserve_rests(struct host *h)
{
    struct err e;
    if (h->state == ST_STOPPING)
        return;
    json_t *answer = line_answer_ok(NULL, NULL);
    AUTO_FREE char *line = line_text(answer);
    json_decref(answer);
    h->reserve->rests = true;
    if (h->reserve->late)
        event_del(h->reserve->late);
    if (fd_write_all(h->options->notify_fd, line, strlen(line), &e) < 0)
        host_halt(h, "its pool has ended");
}
