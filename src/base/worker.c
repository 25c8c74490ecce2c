// A thread that ends with one byte on a socket pair.
#include "base/worker.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

struct worker {
    worker_work *work;
    worker_done *done;
    void *arg;
    int result;
    struct err error;
    int ends[2]; // 0: the loop's, 1: the thread's
    pthread_t thread;
    struct event *event;
};

static void *run(void *arg)
{
    struct worker *w = arg;
    w->result = w->work(w->arg, &w->error);
    close(w->ends[1]); // end of file is the signal
    return NULL;
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct worker *w = arg;
    pthread_join(w->thread, NULL);
    event_free(w->event);
    close(fd);
    w->done(w->arg, w->result, &w->error);
    free(w);
}

// The loop's signals stay with the loop's thread.
static int start_thread(struct worker *w)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

int worker_start(struct event_base *base, worker_work *work, worker_done *done, void *arg,
                 struct err *e)
{
    struct worker *w = xcalloc(1, sizeof *w);
    *w = (struct worker){.work = work, .done = done, .arg = arg};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, w->ends) < 0) {
        free(w);
        return err_sys(e, "cannot start a thread");
    }
    fcntl(w->ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(w->ends[1], F_SETFD, FD_CLOEXEC);
    w->event = event_new(base, w->ends[0], EV_READ, on_end, w);
    event_add(w->event, NULL);
    if (start_thread(w) != 0) {
        event_free(w->event);
        close(w->ends[0]);
        close(w->ends[1]);
        free(w);
        return err_set(e, ERR_HOST_CANNOT, "cannot start a thread");
    }
    return 0;
}
