// Jobs beside the loop: they run elsewhere, their end is told in the loop.
#include "base/worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop.h"

struct job {
    int result; // that work() is to return
    pthread_t worked_in, told_in;
    bool signals_blocked;
    int gate[2]; // work() reads a byte first; -1: it does not
    int told;
    int result_told;
    struct err error;
};

static int work(void *arg, struct err *e)
{
    struct job *job = arg;
    sigset_t blocked;
    char byte;
    job->worked_in = pthread_self();
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    job->signals_blocked = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGCHLD);
    if (job->gate[0] >= 0 && read(job->gate[0], &byte, 1) != 1)
        return -1;
    return job->result < 0 ? err_set(e, ERR_HOST_CANNOT, "the disk is full") : job->result;
}

static void done(void *arg, int result, struct err *e)
{
    struct job *job = arg;
    job->told_in = pthread_self();
    job->told++;
    job->result_told = result;
    if (result < 0)
        job->error = *e;
}

static int make_base(void **state)
{
    *state = event_base_new();
    return 0;
}

static int free_base(void **state)
{
    event_base_free(*state);
    return 0;
}

static void start(struct event_base *base, struct job *job)
{
    struct err e;
    assert_int_equal(worker_start(base, work, done, job, &e), 0);
}

static void the_result_comes_in_the_loop(void **state)
{
    struct job job = {.result = 7, .gate = {-1, -1}};
    start(*state, &job);
    assert_int_equal(job.told, 0); // never before the loop runs
    LOOP_UNTIL(*state, job.told);
    assert_int_equal(job.result_told, 7);
    assert_true(pthread_equal(job.told_in, pthread_self()));
    assert_false(pthread_equal(job.worked_in, pthread_self()));
    assert_true(job.signals_blocked);
    sigset_t here;
    pthread_sigmask(SIG_SETMASK, NULL, &here);
    assert_false(sigismember(&here, SIGTERM));
}

static void so_does_why_it_failed(void **state)
{
    struct job job = {.result = -1, .gate = {-1, -1}};
    start(*state, &job);
    LOOP_UNTIL(*state, job.told);
    assert_int_equal(job.result_told, -1);
    assert_int_equal(job.error.code, ERR_HOST_CANNOT);
    assert_string_equal(job.error.msg, "the disk is full");
}

static void jobs_run_side_by_side(void **state)
{
    struct job slow = {.result = 1};
    struct job fast = {.result = 2, .gate = {-1, -1}};
    assert_int_equal(pipe(slow.gate), 0);
    start(*state, &slow);
    start(*state, &fast);
    LOOP_UNTIL(*state, fast.told);
    assert_int_equal(slow.told, 0);
    assert_int_equal(write(slow.gate[1], "x", 1), 1);
    LOOP_UNTIL(*state, slow.told);
    assert_int_equal(event_base_loop(*state, EVLOOP_NONBLOCK), 1); // no event is left
    assert_int_equal(slow.told + fast.told, 2);
    close(slow.gate[0]);
    close(slow.gate[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_base, free_base)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_result_comes_in_the_loop),
        TEST(so_does_why_it_failed),
        TEST(jobs_run_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
